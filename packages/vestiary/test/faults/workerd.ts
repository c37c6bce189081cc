/** D1 and Durable Objects in a workerd of its own, and the bindings through which another process uses them. */
import { spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { D1Binding } from '../../dist/stores/d1.js';
import type { SessionNamespace } from '../../dist/stores/durable-objects.js';
import { started, type Killable } from '../stores/killable.ts';
import { freePort } from '../stores/servers.ts';
import { d1Of, objectsOf } from '../stores/workerd-bindings.ts';

/** A workerd that can be killed. */
export interface Workerd extends Killable {
	readonly url: string;
}

export async function startWorkerd(): Promise<Workerd> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-workerd-'));
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const script = new URL('./workerd-server.ts', import.meta.url).pathname;
	const server = await started({
		launch: () =>
			spawn(process.execPath, [script, `${port}`, folder], {
				stdio: 'ignore',
				detached: true
			}),
		answers: async () => {
			try {
				await d1At(url).prepare('SELECT 1').all();
				return true;
			} catch {
				return false;
			}
		},
		folder,
		end: 'SIGTERM'
	});
	return { url, ...server };
}

/** The D1 database of a workerd. */
export function d1At(url: string): D1Binding {
	return d1Of(async (request) => ask(url, request));
}

/** The Durable Objects of a workerd. */
export function objectsAt(url: string): SessionNamespace {
	return objectsOf(async (request) => ask(url, request));
}

async function ask(url: string, request: object): Promise<unknown> {
	const response = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
	const { answer, message } = (await response.json()) as { answer?: unknown; message?: string };
	if (message !== undefined) throw new Error(message);
	return answer ?? null;
}
