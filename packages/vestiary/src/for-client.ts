import type { ClientAnswer, ClientSession } from './client-session.js';
import { Freshness } from './freshness.js';
import { VisitState } from './generated/vestiary.js';
import { SCOPE } from './inside.js';
import type { RegisteredData } from './registered.js';
import { refusePromise } from './runtime.js';
import { hasVisitor, type Scope } from './scope.js';

/** The session for its visitor's browser: a base class of `Session`. */
export abstract class ForClient extends Freshness {
	/** The session's data. */
	abstract get data(): RegisteredData;

	/**
	 * The session for the visitor's browser, with the data that the option `public` selects. Return it from the load
	 * function of your root layout; `useSession()` of `vestiary/client` reads it there.
	 *
	 * ```ts
	 * // src/routes/+layout.server.ts
	 * export const load = ({ locals }) => ({ session: locals.session.forClient() });
	 * ```
	 *
	 * The page of a stored session then stays out of every cache, as with `session.private()`.
	 * @returns Undefined while a page is prerendered, because it has no visitor
	 * @throws {@link ConfigError} if `public` is async
	 */
	forClient(): ClientSession | undefined {
		const scope = this[SCOPE];
		if (!hasVisitor(scope.event)) return undefined;
		const { options, clientPath: path } = scope.runtime;
		const answer = answerOf(scope);
		let data: ClientSession['data'];
		if (scope.visit.state === VisitState.Stored) {
			scope.private = true;
			data = options.public?.(this.data, {
				userId: this.userId,
				isFresh: (seconds) => this.isFresh(seconds)
			});
			refusePromise('`public`', data);
		}
		return { ...answer, data, path };
	}
}

/** The session of a request, without data. */
export function answerOf({ visit }: Scope): ClientAnswer {
	return {
		key: visit.logId,
		signedIn: visit.user !== undefined,
		at: Date.now(),
		expires: visit.endOf(false)?.getTime() ?? null,
		idleUntil: visit.endOf(true)?.getTime() ?? null
	};
}
