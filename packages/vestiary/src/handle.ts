import type { RequestEvent } from '@sveltejs/kit';

import { answerExtended, answerPassively, isForClient } from './client-endpoint.js';
import {
	answerLater,
	answerProof,
	askLate,
	isUnasked,
	noteUnasked,
	proofAddress
} from './device-bound.js';
import { StoreError } from './errors.js';
import { VisitState } from './generated/vestiary.js';
import { hint, hintForUse } from './hints.js';
import { FINISH, OPEN } from './inside.js';
import { observer } from './observed.js';
import { within } from './open-sessions.js';
import { building, developing, refusePromise, type Runtime } from './runtime.js';
import { runtimes, type TenantOptions } from './runtimes.js';
import { partial, Scope, slots } from './scope.js';
import { Session } from './session.js';
import { trackSubRequests, pageOf, untrack } from './sub-request.js';
import { testServer } from './test-server.js';
import type { SveltekitSessionConfig } from './types.js';
import { checkOrder, Watch, watchPrerendered } from './watch.js';

declare global {
	// eslint-disable-next-line @typescript-eslint/no-namespace -- where SvelteKit looks for it
	namespace App {
		interface Locals {
			/** The visitor's session, set by `sveltekitSessionHandle`. */
			session: Session;
		}
	}
}

/**
 * SvelteKit's `Handle`, spelled out: it is exported by `@sveltejs/kit` in version 2 and by
 * `@sveltejs/kit/hooks` in version 3.
 */
export type SessionHandle = (input: {
	event: RequestEvent;
	resolve: (event: RequestEvent) => Response | Promise<Response>;
}) => Promise<Response>;

/**
 * Creates the server hook that sets `event.locals.session` to the visitor's session. In a `sequence`, put it first.
 *
 * ```ts
 * // src/hooks.server.ts
 * import { env } from '$env/dynamic/private';
 * import { sveltekitSessionHandle } from 'vestiary';
 *
 * export const handle = sveltekitSessionHandle({ secret: env.SESSION_SECRET ?? '' });
 * ```
 *
 * If store or secret come with the request, as on Cloudflare Workers, pass a function. It is called once, by the first
 * request of a visitor.
 *
 * ```ts
 * import { sveltekitSessionHandle } from 'vestiary';
 * import { KvStore } from 'vestiary/cloudflare-kv';
 *
 * export const handle = sveltekitSessionHandle(({ platform }) => ({
 *   secret: platform.env.SESSION_SECRET,
 *   store: new KvStore({ client: platform.env.SESSIONS })
 * }));
 * ```
 *
 * If many tenants have their own secret, store or cookie, say which tenant a request belongs to.
 *
 * ```ts
 * import { sveltekitSessionHandle } from 'vestiary';
 * import { optionsOf } from './lib/server/tenants';
 *
 * export const handle = sveltekitSessionHandle(({ url }) => optionsOf(url.hostname), {
 *   tenant: ({ url }) => url.hostname
 * });
 * ```
 *
 * @throws {@link ConfigError} at once if an option is invalid; with a function, when it is called.
 */
export function sveltekitSessionHandle(
	options: SveltekitSessionConfig | ((event: RequestEvent) => SveltekitSessionConfig),
	tenants?: TenantOptions
): SessionHandle {
	const runtimeFor = runtimes(options, tenants);
	return async ({ event, resolve: resolveByApp }) => {
		const runtime = runtimeFor(event);
		const resolve = testServer?.answerTo(event, runtime.slot) ?? resolveByApp;
		if (skips(event, runtime)) {
			if (developing) observer()?.skipped(event);
			return resolve(event);
		}
		const forClient = isForClient(event, runtime);
		const passively = forClient && answerPassively(event, runtime);
		if (passively) return passively;
		const page = pageOf(event, runtime);
		if (page?.session && !page.left) return respondWithin(page, runtime.slot, event, resolve);

		const before = handlesBefore(event, runtime);
		// The same handle again in a `sequence`, or one that accepts the same cookie.
		const same =
			before.length > 0 &&
			before.find((scope) => scope.runtime.application === runtime.application);
		if (same) {
			slots(event)[runtime.slot] = same.session;
			return resolve(event);
		}
		if (developing) {
			hintForUse(event, runtime);
			checkOrder(runtime.slot);
		}
		const scope = new Scope(event, runtime, true);
		if (before.length > 0)
			scope.outer = before.find(({ runtime: { core } }) => core.name === runtime.core.name);
		// No cookie of a sub-request reaches the browser once the response of its page has left.
		if (page) scope.left = true;
		const address = proofAddress(event, runtime);
		if (address !== undefined) scope.proves = true;
		const observation = developing ? observer()?.begin(scope) : undefined;
		// Most requests need not wait.
		let session: Session;
		try {
			const opening = Session[OPEN](scope);
			session = opening instanceof Promise ? await opening : opening;
		} catch (error) {
			leaveUnavailable(scope);
			observation?.unopened(error);
			if (address !== undefined) return answerLater(error);
			throw error;
		}
		slots(event)[runtime.slot] = session;
		if (observation) await observation.opened();
		if (building) watchPrerendered(event, session);
		const watch = developing ? new Watch(event, runtime, session) : undefined;
		trackSubRequests(event, scope);
		before.push(scope);
		let final: Response | undefined;
		try {
			let response: Response;
			try {
				response = await within(scope.own, () => {
					if (address !== undefined) return answerProof(session, address);
					return forClient ? answerExtended(scope) : resolve(event);
				});
			} catch (thrown) {
				// A later hook threw a redirect or an error: earlier changes are kept.
				await noteUnasked(session);
				await finishThrown(scope);
				scope.sendThrown();
				throw thrown;
			}
			if (!page && address === undefined && isUnasked(scope)) await askLate(session);
			const finishing = finishAll(scope);
			if (finishing) await finishing;
			return (final = scope.finalize(response));
		} finally {
			scope.left = scope.over = true;
			scope.own.visit = undefined;
			watch?.end();
			observation?.ended(final);
			scope.unwatch?.();
			untrack(scope);
			if (before.at(-1) === scope) before.pop();
			else before.splice(before.indexOf(scope), 1);
		}
	};
}

/** Leaves the application's `handleError` an empty session, which says that it is unavailable and cannot be saved. */
function leaveUnavailable(scope: Scope): void {
	scope.left = scope.over = true;
	if (scope.session && scope.visit.state === VisitState.Unavailable)
		slots(scope.event)[scope.runtime.slot] = scope.session;
}

/** Responds to a sub-request of a page, with the page's session. */
async function respondWithin(
	page: Scope,
	slot: string,
	event: RequestEvent,
	resolve: (event: RequestEvent) => Response | Promise<Response>
): Promise<Response> {
	slots(event)[slot] = page.session;
	trackSubRequests(event, page);
	try {
		return await resolve(event);
	} finally {
		// The page no longer waits for this request, so this one stores its changes.
		if (page.left) await Session[FINISH](page);
	}
}

/**
 * Finishes the session when the application has made its response, and asks the store whether the cookie may leave.
 * Undefined if there is nothing to wait for.
 */
function finishAll(scope: Scope): Promise<void> | undefined {
	scope.finished = true;
	if (scope.isUsed) return finishUsed(scope);
	const finishing = Session[FINISH](scope);
	return finishing ? finishing.finally(async () => leave(scope)) : leave(scope);
}

/** As {@link finishAll}, for a request with operations on its session, perhaps not awaited. */
async function finishUsed(scope: Scope): Promise<void> {
	const { operations } = scope;
	await operations.settled();
	try {
		const finishing = Session[FINISH](scope);
		if (finishing) {
			await finishing;
			await operations.settled();
		}
	} finally {
		const leaving = leave(scope);
		if (leaving) await leaving;
	}
	const failure = operations.failure();
	if (failure) throw failure.error;
}

/** Marks the response as left: later operations cannot set the cookie. Asks the store about the cookie a last time. */
function leave(scope: Scope): Promise<void> | undefined {
	scope.left = true;
	return scope.confirm();
}

/** With `onStoreError: 'anonymous'`, a failing store does not replace the application's exception. */
async function finishThrown(scope: Scope): Promise<void> {
	try {
		await finishAll(scope);
	} catch (error) {
		const { onStoreError } = scope.runtime.options;
		if (onStoreError !== 'anonymous' || !(error instanceof StoreError)) throw error;
		scope.emit({ type: 'store_failed', error });
	}
}

/** Whether the application wants no session for this request. */
function skips(event: RequestEvent, { options }: Runtime): boolean {
	const skipped: unknown = options.skip?.(event);
	// A promise would always count as true.
	refusePromise('`skip`', skipped);
	return Boolean(skipped);
}

/** An object of SvelteKit's, to which a class that extends this one adds private fields. */
// eslint-disable-next-line @typescript-eslint/no-extraneous-class -- private fields need a constructor
class Foreign {
	constructor(object: object) {
		return object;
	}
}

/** The scopes of a request, in a private field of its `locals`: an entry in a `WeakMap` costs five times as much. */
class Handled extends Foreign {
	readonly #scopes: Scope[] = [];

	static of(object: object): Scope[] {
		const handled = #scopes in object ? object : new Handled(object);
		return handled.#scopes;
	}
}

/** The handles through which this request has come so far. They share `event.locals`, even if not the event. */
function handlesBefore(event: RequestEvent, runtime: Runtime): Scope[] {
	const { locals } = partial(event);
	const scopes = Handled.of(locals ?? event);
	if (developing) {
		for (const { runtime: other } of scopes) {
			if (other.application === runtime.application) continue;
			if (other.core.name === runtime.core.name)
				hint(
					`two handles use the cookie \`${other.core.name}\`: give one of them another \`name\``
				);
			if (
				other.core.devicePath !== undefined &&
				other.core.devicePath === runtime.core.devicePath
			)
				hint(
					`two handles answer browsers at \`${other.core.devicePath}\`, and the sessions of the second one are never bound: give one of them another \`deviceBound.path\``
				);
			if (other.slot === runtime.slot)
				hint(
					`two handles set \`event.locals.${other.slot}\`, and the last one replaces the session of the first: give one of them another \`as\``
				);
		}
	}
	return scopes;
}
