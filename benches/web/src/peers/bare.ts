/** The same app without sessions: the baseline for the cost of a library. */
import { Scene } from '../cases.ts';
import type { Kit } from '../kit-request.ts';
import { NodeApp } from './express-session.ts';
import { KitApp } from './kit-app.ts';

export const BARE = { kit: 'bare', node: 'bare node:http' } as const;

export function bareScenes(kit: Kit): Record<'kit' | 'node', Scene> {
	const kitApp = new KitApp(
		kit,
		({ event, resolve }) => resolve(event),
		async () => undefined
	);
	const nodeApp = new NodeApp(
		(_request, _response, next) => {
			next();
		},
		{ userId: '', visits: 0 }
	);
	return {
		kit: new Scene(async () => kitApp.exchange(undefined, 'nothing')),
		node: new Scene(async () => nodeApp.exchange(undefined, 'nothing'))
	};
}
