import { setTimeout as sleep } from 'node:timers/promises';

import { error } from '@sveltejs/kit';
import type { RequestHandler } from './$types';

/** Server-sent events for as long as the session lives, whichever half ends it. The Rust half does the same by a WebSocket. */
export const GET: RequestHandler = ({ locals: { session } }) => {
	if (!session.userId) error(401);
	const seconds = session.until(count());
	const encoder = new TextEncoder();
	const body = new ReadableStream<Uint8Array>({
		async pull(controller) {
			const { done, value } = await seconds.next();
			if (done) controller.close();
			else controller.enqueue(encoder.encode(`data: ${value}\n\n`));
		},
		async cancel() {
			await seconds.return?.();
		}
	});
	return new Response(body, {
		headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }
	});
};

async function* count(): AsyncGenerator<number> {
	for (let seconds = 0; ; seconds++) {
		yield seconds;
		await sleep(1_000);
	}
}
