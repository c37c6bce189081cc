import { error, type RequestHandler } from '@sveltejs/kit';

const BEAT = 20_000; // milliseconds

/** A stream of server-sent events that says nothing, and ends with the session: wherever it is ended, and when it expires. */
export const GET: RequestHandler = ({ locals: { session } }) => {
	if (session.userId === undefined) error(401);
	let timer: ReturnType<typeof setInterval>;
	const beats = new ReadableStream<Uint8Array>({
		start(controller) {
			// A comment. Proxies close a connection that is silent for long.
			const beat = (): void => controller.enqueue(new TextEncoder().encode(':\n\n'));
			beat();
			timer = setInterval(beat, BEAT);
		},
		cancel: () => clearInterval(timer)
	});
	return new Response(session.until(beats), {
		headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }
	});
};
