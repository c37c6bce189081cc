import type { RequestEvent } from '@sveltejs/kit';

import { CLIENT_HEADER } from './client-session.js';
import { VestiaryError } from './errors.js';
import { answerOf } from './for-client.js';
import { VisitState } from './generated/vestiary.js';
import { OPEN } from './inside.js';
import type { Runtime } from './runtime.js';
import { hasVisitor, partial, Scope } from './scope.js';
import { Session } from './session.js';
import { endAtStop } from './stopping.js';

/** Whether a request is one of `useSession()` (`vestiary/client`), which the handle answers. */
export function isForClient(event: RequestEvent, { clientPath }: Runtime): boolean {
	return (
		clientPath !== undefined && partial(event).url?.pathname === clientPath && hasVisitor(event)
	);
}

/**
 * Answers a request that does not count as use of the session: a question about it, or one for a stream that ends with
 * it. The store is only read, and no cookie is set: it could replace that of a login whose response is on its way.
 * Undefined for a request to extend the session, which counts as use.
 */
export function answerPassively(
	event: RequestEvent,
	runtime: Runtime
): Response | Promise<Response> | undefined {
	const { headers, method } = event.request;
	// A browser that does not say it sends no cookie with a question of another site, and does not show it the answer.
	const site = headers.get('sec-fetch-site') ?? 'same-origin';
	if (site !== 'same-origin') return empty(403);
	if (method === 'GET') return answerGet(event, runtime);
	if (method !== 'POST') return empty(405, { allow: 'GET, POST' });
	// A page of another site cannot send the header: its browser would ask this server first, which does not allow it.
	return headers.has(CLIENT_HEADER) ? undefined : empty(403);
}

/** Answers a request that has extended its session. */
export function answerExtended(scope: Scope): Response {
	return isUnbound(scope) ? empty(503) : json(answerOf(scope));
}

/** Whether the browser has not shown its device. The next request may, so the page must not take the session for ended. */
function isUnbound({ visit }: Scope): boolean {
	return visit.state === VisitState.Unbound;
}

async function answerGet(event: RequestEvent, runtime: Runtime): Promise<Response> {
	// Without the cookie jar.
	const seen = Object.create(event, { cookies: { value: undefined } }) as RequestEvent;
	const scope = new Scope(seen, runtime, false, true);
	let session: Session;
	try {
		session = await Session[OPEN](scope);
	} catch (error) {
		if (error instanceof VestiaryError) return unavailable(scope, error);
		throw error;
	}
	const { state, fault } = scope.visit;
	// Nothing is known of the session, so the page must not take it for ended.
	if (state === VisitState.Unavailable) return unavailable(scope, fault);
	if (isUnbound(scope)) return empty(503);
	const isStored = state === VisitState.Stored;
	const wantsStream = event.request.headers.get('accept')?.includes('text/event-stream');
	if (!wantsStream)
		return json({
			...answerOf(scope),
			...(state === VisitState.Tombstone && { replaced: true })
		});
	// With this status, a browser does not connect again.
	if (!isStored) return empty(204);
	return new Response(session.until(beats()), {
		headers: {
			'content-type': 'text/event-stream',
			'cache-control': 'no-store',
			// Otherwise nginx keeps the stream back.
			'x-accel-buffering': 'no'
		}
	});
}

/** A stream that says nothing. Proxies close a connection that is silent for long. */
function beats(): ReadableStream<Uint8Array> {
	const beat = new TextEncoder().encode(':\n\n');
	let over = (): void => undefined;
	return new ReadableStream({
		start(controller) {
			controller.enqueue(beat);
			const timer = setInterval(() => {
				controller.enqueue(beat);
			}, BEAT);
			// The page connects again, to the next process.
			const leave = endAtStop(() => {
				over();
				controller.close();
			});
			over = () => {
				clearInterval(timer);
				leave();
			};
		},
		cancel() {
			over();
		}
	});
}

/** The pause between two comments in a stream, in milliseconds. */
const BEAT = 20_000;

function unavailable(scope: Scope, error: VestiaryError | undefined): Response {
	if (error) scope.emit({ type: 'store_failed', error });
	return empty(503);
}

function json(answer: object): Response {
	return new Response(JSON.stringify(answer), {
		headers: { 'content-type': 'application/json', 'cache-control': 'no-store' }
	});
}

function empty(status: number, headers: Record<string, string> = {}): Response {
	return new Response(null, { status, headers: { ...headers, 'cache-control': 'no-store' } });
}
