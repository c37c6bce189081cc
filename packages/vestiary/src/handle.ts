import type { RequestEvent } from '@sveltejs/kit';

import { hint, hintFor } from './hints.js';
import { developing, runtimeOf } from './runtime.js';
import { Scope } from './scope.js';
import { finish, open } from './session.js';
import { markSubRequests, parentOf } from './sub-request.js';
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
 * import { sveltekitSessionHandle } from 'vestiary';
 *
 * export const handle = sveltekitSessionHandle({ secret: process.env.SESSION_SECRET ?? '' });
 * ```
 *
 * @throws {@link ConfigError} at once if an option is wrong.
 */
export function sveltekitSessionHandle(options: SveltekitSessionConfig): SessionHandle {
	const runtime = runtimeOf(options);
	return async ({ event, resolve }) => {
		if (options.skip?.(event)) return resolve(event);
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
		event.locals.session = await open(scope);
		const unmark = markSubRequests(event, scope);
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
			await finish(scope);
			return scope.seal(response);
		} finally {
			scope.left = true;
			unmark();
		}
	};
}
