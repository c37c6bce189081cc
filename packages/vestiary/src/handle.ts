import type { RequestEvent } from '@sveltejs/kit';

import { hint, hintFor } from './hints.js';
import { MemoryStore } from './memory-store.js';
import { developing, runtimeOf, type Runtime } from './runtime.js';
import { Scope } from './scope.js';
import { finish, hasVisitor, open } from './session.js';
import { markSubRequests, parentOf, unmark } from './sub-request.js';
import type { SveltekitSessionConfig } from './types.js';

/**
 * SvelteKit's `Handle`, spelled out: it is exported by `@sveltejs/kit` in version 2 and by
 * `@sveltejs/kit/hooks` in version 3.
 */
export type SessionHandle = (input: {
	event: RequestEvent;
	resolve: (event: RequestEvent) => Response | Promise<Response>;
}) => Promise<Response>;

/**
 * Makes the server hook that puts the visitor's session into `event.locals.session`. In a
 * `sequence`, put it first.
 *
 * ```ts
 * // src/hooks.server.ts
 * import { env } from '$env/dynamic/private';
 * import { sveltekitSessionHandle } from 'vestiary';
 *
 * export const handle = sveltekitSessionHandle({ secret: env.SESSION_SECRET ?? '' });
 * ```
 *
 * Where the store or the secret comes with the request, as on Cloudflare Workers, pass a function. It
 * is called once, by the first request that has a visitor.
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
 * @throws {@link ConfigError} at once if an option is wrong; with a function, when it is called.
 */
export function sveltekitSessionHandle(
	options: SveltekitSessionConfig | ((event: RequestEvent) => SveltekitSessionConfig)
): SessionHandle {
	const runtimeFor = runtimes(options);
	return async ({ event, resolve }) => {
		const runtime = runtimeFor(event);
		if (runtime.options.skip?.(event)) return resolve(event);
		const parent = parentOf(event, runtime);
		if (parent?.session) {
			event.locals.session = parent.session;
			markSubRequests(event, parent);
			return resolve(event);
		}
		if (developing) {
			const text = hintFor(event, runtime.core.secure);
			if (text !== undefined) hint(text);
		}
		const scope = new Scope(event, runtime, true);
		// Most requests wait for nothing.
		const opening = open(scope);
		event.locals.session = opening instanceof Promise ? await opening : opening;
		markSubRequests(event, scope);
		try {
			let response: Response;
			try {
				response = await resolve(event);
			} catch (thrown) {
				// A redirect or an error of a later hook: what was changed before it is kept.
				await finish(scope);
				scope.hand();
				throw thrown;
			}
			const finishing = finish(scope);
			if (finishing) await finishing;
			return scope.seal(response);
		} finally {
			scope.left = true;
			unmark(scope);
		}
	};
}

function runtimes(
	options: SveltekitSessionConfig | ((event: RequestEvent) => SveltekitSessionConfig)
): (event: RequestEvent) => Runtime {
	if (typeof options !== 'function') {
		const runtime = runtimeOf(options);
		return () => runtime;
	}
	let runtime: Runtime | undefined;
	return (event) => {
		if (runtime) return runtime;
		if (!hasVisitor(event)) return runtimeOf(PRERENDERING);
		try {
			return (runtime = runtimeOf(options(event)));
		} catch (error) {
			if (!isPrerendered(error)) throw error;
			return runtimeOf(PRERENDERING);
		}
	};
}

/** While a page is prerendered nothing is signed or stored, and platforms have no bindings. */
const PRERENDERING = { secret: 'a prerendered page has no visitor', store: new MemoryStore() };

/** What the emulated platform of `vite dev` says on a page that will be prerendered. */
function isPrerendered(error: unknown): boolean {
	return error instanceof Error && error.message.endsWith('in a prerenderable route');
}
