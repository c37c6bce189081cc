/** The measured Worker: it runs a handle as often as requested, since its own clock stands still. */
import type { RequestEvent } from '@sveltejs/kit';

import { Kit, type Handle, type Jar } from '../kit-request.ts';
import type { Endpoint } from '../peers/kit-app.ts';
import { dataOf, type Options, type Work } from '../peers/peer.ts';

export interface Hook {
	handle: Handle;
	endpoint: Endpoint;
}

const OPTIONS: Options = { secrets: ['a secret of 32 characters, or so.'], data: dataOf(64) };

/** A Worker with sessions of this library, created by the first request, as Workers require. */
export function worker(jar: Jar, make: (options: Options) => Hook): { fetch: typeof fetch } {
	const kit = new Kit(jar);
	let made: Hook | undefined;
	return {
		fetch: async (input) => {
			const { handle, endpoint } = (made ??= make(OPTIONS));
			const request = input as Request;
			const { searchParams } = new URL(request.url);
			const work = (searchParams.get('work') ?? 'nothing') as Work;
			const times = Number(searchParams.get('times') ?? '1');
			const cookie = request.headers.get('cookie') ?? undefined;
			let user: string | undefined;
			let response: Response | undefined;
			for (let n = 0; n < times; n++) {
				const each = kit.request(cookie);
				response = await handle({
					event: each.event,
					resolve: async (event: RequestEvent) => {
						if (work !== 'nothing') user = (await endpoint(event, work))?.userId;
						return kit.finish(each);
					}
				});
			}
			const headers = new Headers();
			for (const set of response?.headers.getSetCookie() ?? [])
				headers.append('set-cookie', set);
			return new Response(user ?? 'anonymous', { headers });
		}
	};
}
