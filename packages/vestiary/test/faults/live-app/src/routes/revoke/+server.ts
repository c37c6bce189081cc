import type { RequestEvent } from '@sveltejs/kit';
import { sessions } from 'vestiary';

import { options } from '../../sessions';

/** Logs out everywhere whom the address names, and answers when that was done. */
export async function POST({ url }: RequestEvent): Promise<Response> {
	await sessions(options())
		.of(url.searchParams.get('user') ?? '')
		.revokeAll();
	return new Response(`${performance.timeOrigin + performance.now()}`);
}
