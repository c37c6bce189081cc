import type { RequestEvent } from '@sveltejs/kit';

import { StoreError, TooManySessionsError } from './errors.js';
import { FormerLead } from './former-lead.js';
import type { SessionHandle } from './handle.js';
import type { RegisteredData } from './registered.js';
import { runtimeOf } from './runtime.js';
import { hasVisitor } from './scope.js';
import { Session } from './session.js';
import type { SveltekitSessionConfig } from './types.js';

/** A session of another library, as its cookie or its table has it. */
export interface FormerSession {
	/**
	 * Names the session, whatever the form of its cookie. Take it from what the library has verified, never from the text
	 * of the cookie: a visitor could write the same cookie in another way, and use it again after a logout.
	 */
	readonly id: string;
	/** The user, who is then logged in with `session.login()`. Default: only the data is taken. */
	readonly userId?: string | undefined;
	/** The data. Default: none. */
	// eslint-disable-next-line @typescript-eslint/no-generated-empty-object-type -- applications merge it
	readonly data?: Partial<RegisteredData> | undefined;
	/** When the session ends by the rules of its library. */
	readonly expires: Date;
}

/** The sessions of another library: how they are found and read. */
export interface FormerSessions {
	/** Whether a cookie belongs to them, by its name. */
	owns(name: string): boolean;
	/** Reads the session of these cookies. Null if there is none, or if it is forged, expired or ended. */
	read(
		cookies: ReadonlyMap<string, string>,
		event: RequestEvent
	): Promise<FormerSession | null> | FormerSession | null;
	/** The attributes with which the browser has the cookies. Default: the path `/`. */
	readonly cookie?: { readonly path?: string; readonly domain?: string } | undefined;
}

/** Cookies by their names. */
type Cookies = ReadonlyMap<string, string>;

/** The outcome of a takeover: the cookie of the session that is the visitor's now, if there is one. */
interface Taken {
	readonly header: string | undefined;
}

/**
 * Creates a hook that takes over the sessions of another library: a visitor who is logged in by its cookie gets a session
 * of Vestiary with the same data, once. Put it before `sveltekitSessionHandle`, with the same options, and remove it when
 * the last session of the other library has expired.
 *
 * ```ts
 * // src/hooks.server.ts
 * import { sequence } from '@sveltejs/kit/hooks';
 * import { fromCookieSession, sveltekitSessionHandle, takeOver } from 'vestiary';
 * import { formerOptions, options } from '$lib/server/session-options';
 *
 * export const handle = sequence(
 *   takeOver(options, fromCookieSession(formerOptions)),
 *   sveltekitSessionHandle(options)
 * );
 * ```
 *
 * From then on, the old cookie only leads to that session: it counts no longer after a logout. It is removed from the
 * browser. For that, the store keeps a record until the old session would have expired. A visitor who has a session of
 * Vestiary already keeps that one, and the old one ends. With a store that is not atomic, two requests at the same moment
 * may take a session over twice.
 */
export function takeOver(
	options: SveltekitSessionConfig | ((event: RequestEvent) => SveltekitSessionConfig),
	former: FormerSessions
): SessionHandle {
	return async ({ event, resolve }) => {
		const cookies = cookiesOf(event, former);
		if (cookies.size === 0 || !hasVisitor(event)) return resolve(event);
		const config = typeof options === 'function' ? options(event) : options;
		const taken = await take(event, config, former, cookies).catch((error: unknown) => {
			// The visitor stays anonymous, and keeps the old cookie for another time.
			if (error instanceof TooManySessionsError) return undefined;
			if (config.onStoreError === 'anonymous' && error instanceof StoreError)
				return undefined;
			throw error;
		});
		if (!taken) return resolve(event);
		const { header } = taken;
		if (header !== undefined) addCookie(event.request, header);
		const response = await resolve(event);
		return event.isSubRequest ? response : answered(event, response, header, cookies, former);
	};
}

function cookiesOf(event: RequestEvent, former: FormerSessions): Cookies {
	const all = event.cookies.getAll();
	return new Map(
		all.filter(({ name }) => former.owns(name)).map(({ name, value }) => [name, value])
	);
}

/** Takes a session over, or finds the session that has taken its place. Undefined if the store cannot be read. */
async function take(
	event: RequestEvent,
	options: SveltekitSessionConfig,
	former: FormerSessions,
	cookies: Cookies
): Promise<Taken | undefined> {
	const jar = new Jar(event);
	const session = await Session.initialize(jar.event, options);
	if (session.isUnavailable) return undefined;
	const found = await former.read(cookies, event);
	const ttl = (found?.expires.getTime() ?? 0) - Date.now();
	// Also if it is not a date.
	if (!found || !(ttl > 0)) return { header: undefined };

	const { records, core } = runtimeOf(options);
	const lead = await FormerLead.of(records.calls, core.name, found.id, cookies);
	const known = await lead.read(ttl);
	if (!session.isNew) {
		// The visitor keeps this session. A copy of the old cookie leads to none.
		if (known === undefined) await lead.write('', ttl);
		return { header: undefined };
	}
	if (known !== undefined) return { header: await living(event, options, known) };
	if (found.userId === undefined) {
		await session.setData(found.data ?? {});
		await session.save();
	} else await session.login(found.userId, { data: found.data });
	const { header } = jar;
	if (header === undefined || (await lead.write(pairOf(header), ttl))) return { header };
	// Another request with the same cookie was faster. One session takes the place of the old one, so that one ends.
	await session.destroy();
	return { header: await living(event, options, await lead.read(ttl)) };
}

/** The cookie of the session to which an old cookie leads, as long as that session lives. */
async function living(
	event: RequestEvent,
	options: SveltekitSessionConfig,
	pair: string | undefined
): Promise<string | undefined> {
	if (!pair) return undefined;
	const jar = new Jar(event, pair);
	const session = await Session.initialize(jar.event, options);
	// Sets the cookie again, because the response that had it may be lost. Does nothing if the session has ended.
	await session.touch();
	return jar.header;
}

/** A jar of its own, from which SvelteKit puts nothing onto the response: it fails on one with immutable headers. */
class Jar {
	/** The header `Set-Cookie`, if a cookie was set. */
	header: string | undefined;
	readonly event: RequestEvent;

	constructor(event: RequestEvent, pair?: string) {
		const { cookies, request } = event;
		const set: RequestEvent['cookies']['set'] = (name, value, options) => {
			this.header = cookies.serialize(name, value, options);
		};
		const headers = pair === undefined ? request.headers : new Headers({ cookie: pair });
		this.event = Object.create(event, {
			request: { value: { headers } },
			cookies: {
				value: {
					set,
					serialize: cookies.serialize.bind(cookies),
					delete: () => (this.header = undefined)
				}
			},
			// A login puts its session there.
			locals: { value: {} }
		}) as RequestEvent;
	}
}

/** The pair of a `Set-Cookie` header, as a browser sends it. */
function pairOf(header: string): string {
	return header.split(';', 1)[0] ?? '';
}

/** Adds a cookie to the headers of a request. They may be immutable, so the request gets headers of its own. */
function addCookie(request: Request, header: string): void {
	const headers = new Headers(request.headers);
	const others = (headers.get('cookie') ?? '').split(/;\s*/);
	const name = pairOf(header).split('=', 1)[0] ?? '';
	const kept = others.filter((pair) => pair !== '' && !pair.startsWith(`${name}=`));
	headers.set('cookie', [...kept, pairOf(header)].join('; '));
	Object.defineProperty(request, 'headers', { value: headers, configurable: true });
}

/** The response, with the new cookie unless the application has set or removed it, and without the old ones. */
function answered(
	event: RequestEvent,
	response: Response,
	header: string | undefined,
	cookies: Cookies,
	{ cookie }: FormerSessions
): Response {
	const final = new Response(response.body, response);
	const sent = final.headers.getSetCookie();
	const isSet = (name: string): boolean => sent.some((one) => one.startsWith(`${name}=`));
	const attributes = { path: '/', ...cookie, maxAge: 0 };
	const expired = [...cookies.keys()]
		.filter((name) => !isSet(name))
		.map((name) => event.cookies.serialize(name, '', attributes));
	const fresh = header !== undefined && !isSet(header.split('=', 1)[0] ?? '') ? [header] : [];
	for (const one of [...fresh, ...expired]) final.headers.append('set-cookie', one);
	final.headers.set('cache-control', 'no-store');
	return final;
}
