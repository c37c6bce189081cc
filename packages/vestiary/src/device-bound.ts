import type { RequestEvent } from '@sveltejs/kit';

import { ConfigError, StoreError, VestiaryError } from './errors.js';
import { Given, Task } from './generated/vestiary.js';
import { SCOPE, SLOT } from './inside.js';
import type { Runtime } from './runtime.js';
import { hasVisitor, partial, type Scope } from './scope.js';
import type { Session } from './session.js';
import { isSigned } from './signature.js';

/** The two addresses at which the handle answers a browser that binds sessions to its device. */
export type ProofAddress = 'register' | 'refresh';

/** The address, if a request brings a browser's proof that it has the key of a session, or asks what to prove. */
export function proofAddress(event: RequestEvent, { core }: Runtime): ProofAddress | undefined {
	const { devicePath } = core;
	if (devicePath === undefined) return undefined;
	const { url, request } = partial(event);
	if (request?.method !== 'POST' || !hasVisitor(event)) return undefined;
	if (url?.pathname === `${devicePath}/register`) return 'register';
	return url?.pathname === `${devicePath}/refresh` ? 'refresh' : undefined;
}

/**
 * Answers a browser that binds a session to its device, or proves that it has the session's key. The scope is that of a
 * request whose session may be opened for that.
 */
export async function answerProof(session: Session, address: ProofAddress): Promise<Response> {
	const scope = session[SCOPE];
	try {
		return answerOf(await judged(session, scope, address));
	} catch (error) {
		return answerLater(error);
	}
}

/**
 * Answers a browser while the store fails, or another instance of the application would have to read the session. After a
 * status of 4xx, the browser would never refresh the session again.
 * @throws Any other error
 */
export function answerLater(error: unknown): Response {
	if (!(error instanceof VestiaryError) || error instanceof ConfigError) throw error;
	return new Response(null, { status: 503, headers: { 'cache-control': 'no-store' } });
}

/** The lines of the core's answer. */
async function judged(session: Session, scope: Scope, address: ProofAddress): Promise<string> {
	const { event, runtime, visit } = scope;
	const { headers } = event.request;
	const registers = address === 'register';
	const proof = headers.get('secure-session-response') ?? '';
	const identifier = headers.get('sec-secure-session-id') ?? '';
	const lines = runtime.core.deviceProof(visit.record, registers, proof);
	const isSignedByIt = lines !== undefined && (await isProven(lines));
	const flags = (registers ? Given.More : 0) | (isSignedByIt ? Given.Proves : 0);
	const input = { flags, texts: [proof, identifier] };
	return session[SLOT](
		Task.Bind,
		'`deviceBound`',
		() => input,
		({ taken }) => taken
	);
}

/** Whether the key in these lines has signed their text: `x`, `y`, the signature, the text. */
async function isProven(lines: string): Promise<boolean> {
	const [x = '', y = '', signature = '', text = ''] = lines.split('\n');
	return isSigned(`${text}.${signature}`, 'ES256', [{ kty: 'EC', crv: 'P-256', x, y }]);
}

/** The response of these lines: the status, a challenge, the bound cookie, the instructions for the browser. */
function answerOf(lines: string): Response {
	const [status, challenge = '', cookie = '', body = ''] = lines.split('\n');
	const headers = new Headers({ 'cache-control': 'no-store' });
	if (challenge !== '') headers.set('secure-session-challenge', challenge);
	if (cookie !== '') headers.set('set-cookie', cookie);
	if (body !== '') headers.set('content-type', 'application/json');
	return new Response(body === '' ? null : body, { status: Number(status), headers });
}

/** The slot of a session whose browser was not asked to bind it. */
const UNASKED = 'vestiary:unasked';

/** For how long a later response may ask, in seconds. */
const ASKED_WITHIN = 60;

/**
 * Notes in the session that a login has begun it, and that the browser was not asked to bind it: when a hook throws,
 * SvelteKit makes the response, and gives it no header but the cookies.
 */
export async function noteUnasked(session: Session): Promise<void> {
	const scope = session[SCOPE];
	if (scope.registration === undefined) return;
	await orReport(scope, async () => session.put(UNASKED, true, { for: ASKED_WITHIN }));
}

/** Whether an earlier request may have noted that. */
export function isUnasked({ runtime, visit, registration }: Scope): boolean {
	if (runtime.core.devicePath === undefined || registration !== undefined) return false;
	return visit.record.includes(UNASKED);
}

/** Lets this response ask the browser to bind the session. Of several responses to a browser, only one asks. */
export async function askLate(session: Session): Promise<void> {
	const scope = session[SCOPE];
	await orReport(scope, async () => {
		if ((await session.take(UNASKED)) === undefined) return;
		scope.registration = scope.runtime.core.registration(scope.visit.record);
		scope.asksLate = true;
	});
}

/** The session stays as it is, and unbound, if the store fails, or if there is no room in it. */
async function orReport(scope: Scope, work: () => Promise<unknown>): Promise<void> {
	try {
		await work();
	} catch (error) {
		if (error instanceof StoreError) scope.emit({ type: 'store_failed', error });
		else if (!(error instanceof VestiaryError)) throw error;
	}
}
