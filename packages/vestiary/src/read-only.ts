import type { RequestEvent } from '@sveltejs/kit';

import { ConfigError } from './errors.js';
import { VisitState } from './generated/vestiary.js';
import { OPEN } from './inside.js';
import type { Runtime } from './runtime.js';
import { Scope } from './scope.js';
import { Session } from './session.js';
import type { RegisteredData } from './registered.js';

/**
 * A session that was read from a `Cookie` header, without a request to answer: by {@link sessions}. It is as it was when
 * it was read. It has no ID, because that is all a visitor needs to have the session.
 */
export interface ReadOnlySession {
	/** The data of the session. A change of this object changes nothing in the store. */
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- made to be merged
	readonly data: Readonly<RegisteredData>;
	/** The ID of the user who logged in; undefined for an anonymous visitor. */
	readonly userId: string | undefined;
	/** The session's handle in its user's session list, for `revoke`; undefined for an anonymous visitor. */
	readonly handle: string | undefined;
	/** A name of the session for logs, which reveals nothing of its ID and stays the same over renewals. */
	readonly logId: string | undefined;
	/**
	 * Whether the user has logged in or confirmed their identity within this number of seconds before now. The age is
	 * that in the session as it was read, or as `isAlive()` has found it.
	 * @throws {@link ConfigError} if it is not a number of seconds greater than 0
	 */
	isFresh(seconds: number): boolean;
	/**
	 * Asks the store whether the session is still valid: neither ended nor revoked nor expired. Writes nothing. Call it
	 * every few minutes, because it follows a session to its next ID only for ten minutes.
	 * @throws {@link DataError} and {@link StoreError} if the session cannot be read
	 */
	isAlive(): Promise<boolean>;
	/**
	 * Aborts when the session has ended, in any request or process, with a {@link SessionEndedError} as its reason, as
	 * `session.signal` does.
	 */
	readonly signal: AbortSignal;
	/** The same stream, until the session ends. Then it ends, too, without an error: as `session.until()` does. */
	readonly until: Session['until'];
}

/** A request with a `Cookie` header: a `Request`, or one of `node:http`. */
export interface CookieRequest {
	readonly headers: Pick<Headers, 'get'> | { readonly cookie?: string | undefined };
}

/**
 * The `Cookie` header of a request.
 * @throws ConfigError if it is no request
 */
export function cookieHeaderOf(request: CookieRequest): string | null | undefined {
	const given = request as { readonly headers?: unknown } | null | undefined;
	const headers = given?.headers as Partial<Headers & { cookie: string }> | null | undefined;
	if (typeof headers !== 'object' || headers === null)
		throw new ConfigError(
			'options',
			'`open()` takes a request with `headers`, such as a `Request`, or one of `node:http`'
		);
	return typeof headers.get === 'function' ? headers.get('cookie') : headers.cookie;
}

/** Reads the session of a `Cookie` header. Undefined if there is none. */
export async function readSession(
	runtime: Runtime,
	header: string | null | undefined
): Promise<ReadOnlySession | undefined> {
	if (header === undefined || header === null) return undefined;
	if (typeof (header as unknown) !== 'string')
		throw new ConfigError(
			'options',
			'`read()` takes the `Cookie` header of a request as a string'
		);
	// Not `Headers`, which rejects some texts that a browser may send.
	const event = { request: { headers: { get: () => header } } } as unknown as RequestEvent;
	const scope = new Scope(event, runtime, false, true);
	const session = await Session[OPEN](scope);
	const { state, fault } = scope.visit;
	// Even with `onStoreError: 'anonymous'`: there is no page that could be shown without a session.
	if (state === VisitState.Unavailable && fault) throw fault;
	if (state !== VisitState.Stored) return undefined;
	const { data, userId, logId } = session;
	const read = {
		data,
		userId,
		logId,
		handle: scope.visit.user?.handle,
		isFresh: (seconds: number) => session.isFresh(seconds),
		isAlive: async () => session.isAlive()
	};
	// Not shown by a log of the whole object, which would begin to watch the session.
	return Object.defineProperties(read as ReadOnlySession, {
		signal: { get: () => session.signal },
		until: { value: session.until.bind(session) }
	});
}
