// Nothing here runs: it is right if it compiles, and if every `@ts-expect-error` is needed.
import type { RequestEvent } from '@sveltejs/kit';
import { sequence, type Handle } from '@sveltejs/kit/hooks';
import superjson from 'superjson';
import {
	ConfigError,
	fromExpressStore,
	loginPage,
	LoginOutdatedError,
	TooManySessionsError,
	MemoryStore,
	Session,
	SessionEndedError,
	sessions,
	StoreError,
	sveltekitSessionHandle,
	VestiaryError,
	wayBack,
	backChannelLogout,
	frontChannelLogout,
	type BackChannelOptions,
	type ClientSession,
	type DeviceBoundOptions,
	type KeySource,
	type LogoutEndpoint,
	type TokenOptions,
	type TokenResponse,
	type Tokens,
	type SessionCookieOptions,
	type SessionData,
	type SessionStoreData,
	type SessionsPerUser,
	type Health,
	type ReadOnlySession,
	type Store,
	type StoreInfo,
	type SveltekitSessionConfig,
	type UserSession,
	type UserSessions
} from 'vestiary';
import { useSession, type UsedSession } from 'vestiary/client';
import { opentelemetry } from 'vestiary/opentelemetry';

declare module 'vestiary' {
	interface SessionData {
		userId: string;
		name: string;
	}
	interface SessionSlots {
		challenge: string;
	}
	interface SessionFlash {
		kind: 'success' | 'error';
		text: string;
	}
	interface Register {
		public: { name: string; isFresh: boolean };
	}
}

// Merged declarations type the data.
export async function login(event: RequestEvent): Promise<unknown> {
	const { session } = event.locals;
	await session.setData({ userId: '7', name: 'Ada' });
	await session.save();
	const userId: string = session.data.userId;
	const isNew: boolean = session.isNew;
	const written: boolean = await session.update((data) => ({ ...data, name: String(isNew) }));
	if (written) await session.touch();
	const fresh: Session = await session.regenerate();
	await fresh.destroy();
	// @ts-expect-error -- a required property is missing
	await session.setData({ userId });
	// @ts-expect-error -- not declared
	const email: unknown = session.data.email;
	// @ts-expect-error -- the ID is not for writing
	session.id = 'mine';
	// The cookie of this session alone.
	session.cookie.maxAge = 5;
	session.cookie.path = '/shop';
	// @ts-expect-error -- an attribute that cookies do not have
	session.cookie.maxage = 5;
	return email;
}

// The data for the browser has the registered type, on the server and in a component.
sveltekitSessionHandle({
	secret: '',
	client: { path: '/session' },
	public: ({ name }, session) => ({ name, isFresh: session.isFresh(60) })
});
// @ts-expect-error -- `isFresh` is missing
sveltekitSessionHandle({ secret: '', client: true, public: ({ name }) => ({ name }) });
// @ts-expect-error -- not async
sveltekitSessionHandle({ secret: '', public: async ({ name }) => ({ name, isFresh: true }) });
// @ts-expect-error -- the path is missing
sveltekitSessionHandle({ secret: '', client: {} });
export function inBrowser({ locals }: RequestEvent): string {
	const given: ClientSession | undefined = locals.session.forClient();
	const used: UsedSession = useSession({
		warnBefore: 120,
		onExpiring: (seconds) => {
			seconds.toFixed();
		},
		onEnded: () => undefined,
		as: 'session'
	});
	const name: string | undefined = used.data?.name ?? given?.data?.name;
	// @ts-expect-error -- not in the public data
	const userId: unknown = used.data?.userId;
	// @ts-expect-error -- there may be no session
	const length: number = used.data.name.length;
	const ends: (Date | number | null | undefined)[] = [used.expires, given?.expires];
	// @ts-expect-error -- not for writing
	used.signedIn = true;
	// @ts-expect-error -- the ID is not for the browser
	const id: unknown = given?.id;
	return String([name, userId, length, ends, id, used.secondsLeft, used.key, used.isKnown]);
}

// The way to a login, and back.
export function addresses(event: RequestEvent, form: FormData): string[] {
	// @ts-expect-error -- it takes the event
	loginPage(event.url);
	event.locals.session.private();
	return [loginPage(event), loginPage(event, '/in', 'to'), wayBack(form.get('next'), '/home')];
}

// Values beside the data, typed by their keys.
export async function slots({ locals: { session } }: RequestEvent): Promise<unknown> {
	const logId: string | undefined = session.logId;
	if (logId === undefined) return;
	const isConfirmed: boolean = await session.confirm();
	const isFresh: boolean = isConfirmed && session.isFresh(600);
	if (!isFresh) return;
	// @ts-expect-error -- the time is not optional
	session.isFresh();
	const isStored: boolean = await session.put('challenge', 'x', { for: 60 });
	const challenge: string | undefined = await session.take('challenge');
	await session.put('another key', { any: [1] }, { for: 0.5 });
	const other: unknown = await session.take('another key');
	await session.flash({ kind: 'error', text: String(isStored) });
	const text: string | undefined = (await session.takeFlash())?.text;
	// @ts-expect-error -- the value has another type
	await session.put('challenge', 7, { for: 60 });
	// @ts-expect-error -- for how long
	await session.put('challenge', 'x');
	// @ts-expect-error -- there is no such kind of message
	await session.flash({ kind: 'warning', text });
	// @ts-expect-error -- what it is, is not known
	const none: string = other;
	// A function that one request runs.
	const length: number = await session.once('measure', async () => 5, { lease: 5 });
	// @ts-expect-error -- how long the function may take
	await session.once('measure', () => 1);
	return [challenge, none, length];
}

// Users and their sessions.
export async function devices(event: RequestEvent): Promise<string[]> {
	const session: Session = await event.locals.session.login('7', {
		data: { userId: '7' },
		keep: ['name'],
		label: 'a browser',
		device: { browser: 'Firefox', system: undefined, address: event.getClientAddress() },
		maxAge: 60,
		provenAt: new Date()
	});
	const isUnavailable: boolean = session.isUnavailable;
	const ends: (Date | null)[] = [session.expires, session.idleUntil];
	await session.login(String([ends, isUnavailable]), { maxAge: null });
	await session.renew();
	const of: UserSessions = sessions(everything).of(session.userId ?? '');
	await of.revoke((await of.list(session))[0]?.handle ?? '');
	await of.revokeOthers(session);
	await of.revokeAll();
	// @ts-expect-error -- a number is no user
	await session.login(7);
	// @ts-expect-error -- the network is made from the address
	await session.login('7', { device: { network: '203.0.113.0/24' } });
	// @ts-expect-error -- a number of seconds, or null
	await session.login('7', { maxAge: '60' });
	// @ts-expect-error -- the deadline is not for writing
	session.expires = null;
	// @ts-expect-error -- there is no such key to keep
	await session.login('7', { keep: ['email'] });
	// The claims of an ID token, which have more members.
	const claims: { iss: string; sub: string; aud: string; exp: number; [claim: string]: unknown } =
		{
			...{ iss: 'https://login.example.com', sub: 'ada', aud: 'app', exp: 1 },
			sid: 's1'
		};
	await session.login('7', { provider: claims });
	await session.login('7', {
		provider: { iss: 'https://login.example.com', sub: 'ada', sid: 's1' }
	});
	// @ts-expect-error The provider has no name
	await session.login('7', { provider: { sub: 'ada' } });
	// @ts-expect-error A subject is a string
	await session.login('7', { provider: { iss: 'https://login.example.com', sub: 7 } });
	// @ts-expect-error -- which one is to stay
	await of.revokeOthers();
	const list: UserSession[] = await of.list();
	return list.map(
		({ label, device, lastSeen }) =>
			label ?? device?.browser ?? device?.network ?? lastSeen.toISOString()
	);
}

// The session of a cookie, without an event.
export async function socket(request: {
	headers: { cookie?: string; host?: string };
}): Promise<string | undefined> {
	const found: ReadOnlySession | undefined = await sessions(everything).open(request);
	await sessions(everything).open(new Request('https://app.example'));
	await sessions(everything).open({ headers: new Headers() });
	await sessions(everything).read(request.headers.cookie);
	const name: string | undefined = found?.data.name;
	const user: string | undefined = found?.userId ?? found?.handle;
	if (found && (await found.isAlive())) return name;
	// @ts-expect-error -- it has no ID
	const id: unknown = found?.id;
	// @ts-expect-error -- it is only read
	if (found) found.data.name = 'Ada';
	// @ts-expect-error -- a request is no header
	await sessions(everything).read(request);
	return user ?? String(id);
}

export async function healthz(event: RequestEvent): Promise<number> {
	const {
		writable,
		latency = Infinity,
		version,
		evictionPolicy,
		error
	}: Health = await sessions(everything).health();
	const alive: boolean = await event.locals.session.isAlive();
	const info: StoreInfo = { version, evictionPolicy };
	// @ts-expect-error -- a message is no code
	if (error?.code === 'it failed') return 500;
	return writable && alive && info.version !== '' ? latency : 503;
}

// Every option of the README.
export const everything: SveltekitSessionConfig = {
	name: 'sid',
	cookie: {
		domain: 'example.com',
		encode: (value) => value,
		expires: new Date(),
		httpOnly: true,
		maxAge: 60,
		partitioned: true,
		path: '/',
		priority: 'high',
		sameSite: 'lax',
		secure: true
	},
	rolling: true,
	store: new MemoryStore(),
	secret: ['new', 'old'],
	saveUninitialized: true,
	autoSave: true,
	touchAfter: 60,
	genid: (event) => event.url.href,
	skip: ({ url }) => url.pathname === '/health',
	passive: ({ url }) => url.pathname === '/unread',
	onEvent: ({ type }, event) => [type, event.url],
	onStoreError: 'anonymous',
	storeTimeout: 1000,
	format: 'express-session',
	idleTimeout: 900,
	absoluteTimeout: 43_200,
	renewAfter: 3_600,
	renewGrace: 20,
	onReuse: 'revoke',
	recheckAfter: 5,
	sessionsPerUser: 5,
	hashIds: true,
	encrypt: 'migrate',
	namespace: 'shop',
	require: ['atomic'],
	telemetry: opentelemetry()
};

// @ts-expect-error -- the secret is required
sveltekitSessionHandle({});
for (const cache of [{ maxStale: 1_000 }, { maxStale: 1, maxEntries: 5 }, undefined])
	sveltekitSessionHandle({ secret: '', cache });
// @ts-expect-error Its bound is missing.
sveltekitSessionHandle({ secret: '', cache: { maxEntries: 5 } });
// @ts-expect-error It has no such member.
sveltekitSessionHandle({ secret: '', cache: { maxStale: 1, ttl: 5 } });

// Sessions that are bound to a device.
sveltekitSessionHandle({ secret: '', deviceBound: true });
const deviceBound: DeviceBoundOptions = { maxAge: 300, path: '/device' };
sveltekitSessionHandle({
	secret: '',
	deviceBound,
	onEvent: (event, { locals }) => {
		if (event.type !== 'bound') return;
		const reason: 'registered' | 'missing' | 'refused' = event.reason;
		const bound: boolean = locals.session.bound;
		console.warn(reason, bound);
	}
});
// @ts-expect-error -- an option of its own
sveltekitSessionHandle({ secret: '', deviceBound: { life: 5 } });
export const listedBound = (one: UserSession): boolean => one.bound;
// @ts-expect-error -- only the browser can bind it
export const unbind = (session: Session): void => void (session.bound = false);
for (const sessionsPerUser of [3, Infinity, undefined, {}, { most: 3 }] as const)
	sveltekitSessionHandle({ secret: '', sessionsPerUser });
const limit: SessionsPerUser = { most: 3, whenFull: 'refuse' };
sveltekitSessionHandle({ secret: '', sessionsPerUser: limit });
// @ts-expect-error -- a full list evicts or refuses
sveltekitSessionHandle({ secret: '', sessionsPerUser: { most: 3, whenFull: 'queue' } });
// @ts-expect-error -- the number is `most`
sveltekitSessionHandle({ secret: '', sessionsPerUser: { max: 3 } });
// @ts-expect-error -- no such option of the cookie
sveltekitSessionHandle({ secret: 's', cookie: { httponly: true } });
// @ts-expect-error -- no such value
sveltekitSessionHandle({ secret: 's', cookie: { sameSite: 'sometimes' } });
// @ts-expect-error -- no such capability
sveltekitSessionHandle({ secret: 's', require: ['durable'] });

// The handle is SvelteKit's, alone and in a sequence.
export const handle: Handle = sveltekitSessionHandle(everything);
export const together: Handle = sequence(handle, ({ event, resolve }) => resolve(event));

sveltekitSessionHandle({ secret: 's', transformer: superjson });
// @ts-expect-error -- a transformer also reads what it has written
sveltekitSessionHandle({ secret: 's', transformer: { serialize: () => ({ json: 1 }) } });

export const byTenant: Handle = sveltekitSessionHandle(() => everything, {
	tenant: ({ url }) => url.hostname
});
// @ts-expect-error -- the key of a tenant is a string
sveltekitSessionHandle(() => everything, { tenant: ({ url }) => url });

export const lazy: Handle = sveltekitSessionHandle(({ url }) => ({
	...everything,
	name: url.host
}));
// @ts-expect-error -- the secret is required there, too
sveltekitSessionHandle(() => ({}));

// Without a handle: the events of svelte-kit-sessions, which only have `cookies`, and those of a WebSocket upgrade.
export async function withoutHandle(event: RequestEvent): Promise<Session[]> {
	return [
		new Session(event, everything),
		new Session({ cookies: event.cookies }, everything),
		await Session.initialize(event, everything),
		await Session.initialize({ cookies: event.cookies }, everything),
		await Session.initialize({ request: event.request }, everything),
		await Session.initialize({ request: { headers: new Headers() } }, everything),
		await Session.initialize(
			{
				cookies: event.cookies,
				request: event.request,
				url: event.url,
				locals: event.locals
			},
			everything
		),
		// @ts-expect-error -- neither of them
		await Session.initialize({ url: event.url }, everything),
		// @ts-expect-error -- headers of `node:http`
		await Session.initialize({ request: { headers: { cookie: '' } } }, everything)
	];
}

// A custom store needs the four methods of the README, and nothing of ours.
export class MapStore implements Store {
	readonly #map = new Map<string, SessionStoreData>();
	get(id: string): Promise<SessionStoreData | null> {
		return Promise.resolve(this.#map.get(id) ?? null);
	}
	set(id: string, storeData: SessionStoreData, _ttl: number): Promise<void> {
		this.#map.set(id, storeData);
		return Promise.resolve();
	}
	destroy(id: string): Promise<void> {
		this.#map.delete(id);
		return Promise.resolve();
	}
	touch(_id: string, _ttl: number): Promise<void> {
		return Promise.resolve();
	}
}

// A store of express-session, with its own session type and optional callbacks.
declare const connectStore: {
	get(sid: string, cb?: (err: Error | null, session?: { cookie: Date } | null) => void): unknown;
	set(sid: string, session: { cookie: Date; user: string }, cb?: (err?: Error) => void): void;
	destroy(sid: string, cb?: (err?: Error) => void): Promise<void>;
	touch(sid: string, session: { cookie: Date }, cb?: (err?: Error) => void): Promise<void>;
	all(): void;
};
export const adapted: Store = fromExpressStore(connectStore);
// @ts-expect-error -- a Map is no store
fromExpressStore(new Map());

// Errors are distinguished by class and by code.
export function explain(error: unknown): string {
	if (error instanceof StoreError)
		return error.code satisfies
			| 'store_busy'
			| 'store_failed'
			| 'store_full'
			| 'store_lossy'
			| 'store_timeout'
			| 'store_unconfirmed';
	if (error instanceof ConfigError) return error.message;
	if (error instanceof LoginOutdatedError) return error.code satisfies 'login_outdated';
	if (error instanceof TooManySessionsError) return error.code satisfies 'too_many_sessions';
	if (error instanceof VestiaryError && error.code === 'response_sent') return 'too late';
	return 'unknown';
}

export const path = (cookie: SessionCookieOptions): string => cookie.path;
export const nothingYet = (data: SessionData): string => data.name;

// A stream or an iterable stays what it is, until its session ends.
export async function* live(
	{ locals }: RequestEvent,
	read: ReadOnlySession
): AsyncGenerator<number> {
	const bytes: ReadableStream<Uint8Array> = locals.session.until(
		new ReadableStream<Uint8Array>()
	);
	await fetch('https://example.com', { body: bytes, signal: locals.session.signal });
	const source = async function* (): AsyncGenerator<number> {
		yield 1;
	};
	yield* locals.session.until(source());
	yield* read.until(source());
	const signal: AbortSignal = read.signal;
	const ended: boolean = signal.reason instanceof SessionEndedError;
	// @ts-expect-error -- neither a stream nor an async iterable
	locals.session.until([ended]);
}

// A provider's tokens, as clients return them, and as the application gets them.
export async function tokens({ locals: { session } }: RequestEvent): Promise<string> {
	const answer = { access_token: 'a', token_type: 'bearer', expires_in: 60, scope: 'openid' };
	await session.login('ada', { tokens: answer });
	// @ts-expect-error An answer without an access token
	await session.login('ada', { tokens: { refresh_token: 'r' } });
	const isKept: boolean = await session.keepTokens(answer);
	const response: TokenResponse = { access_token: String(isKept), refresh_token: undefined };
	const options: TokenOptions = { early: 30, lease: 5, refused: undefined };
	const found: Tokens | undefined = await session.tokens(async (refresh, signal) => {
		await fetch(refresh, { signal });
		return Promise.resolve(response);
	}, options);
	// The provider refuses the refresh token.
	await session.tokens(() => undefined);
	// @ts-expect-error An answer without an access token
	await session.keepTokens({ refresh_token: 'r' });
	// @ts-expect-error Text is no answer
	await session.tokens(() => 'new');
	// @ts-expect-error There is no such option
	await session.tokens(() => undefined, { leese: 5 });
	const stored = await session.storedTokens();
	// @ts-expect-error There may be none
	String(stored.idToken);
	// @ts-expect-error Tokens are not to be changed
	if (found) found.accessToken = '';
	const expires: Date | undefined = found?.expires;
	return `${String(expires)} ${found?.idToken ?? ''}`;
}

// Endpoints for a logout by the provider.
const jwks: KeySource = () => ({ keys: [{ kty: 'RSA', n: '', e: '' }] });
const back: BackChannelOptions = { issuer: 'https://login.example.com', clientId: 'app', jwks };
export const POST: LogoutEndpoint = backChannelLogout({
	...back,
	as: 'session',
	onRefused: ({ code }, event) => {
		String([code, event.url]);
	}
});
export const GET: LogoutEndpoint = frontChannelLogout({ issuer: 'https://login.example.com' });
// @ts-expect-error The client has an ID
backChannelLogout({ issuer: 'https://login.example.com' });
// @ts-expect-error Keys are an address, or a function
backChannelLogout({ ...back, jwks: { keys: [] } });
