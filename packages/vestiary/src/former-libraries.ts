import { ConfigError } from './errors.js';
import type { FormerSession, FormerSessions } from './former.js';
import type { CookieSerializeOptions } from './types.js';

/** A secret of svelte-kit-cookie-session. */
type FormerSecret = string | ArrayBuffer | ArrayBufferView;

/** The attributes that name a cookie beside its name, and its lifetime. Others are ignored. */
type FormerCookie = Readonly<
	Partial<Record<keyof CookieSerializeOptions | 'priority', unknown>> & {
		path?: string | undefined;
		domain?: string | undefined;
		maxAge?: number | undefined;
	}
>;

interface NumberedSecret {
	readonly id: number;
	readonly secret: FormerSecret;
}

/** The options of svelte-kit-cookie-session 4. Those that say nothing about its cookies are ignored. */
export interface CookieSessionOptions {
	readonly secret:
		FormerSecret | readonly { readonly id: number; readonly secret: FormerSecret }[];
	readonly key?: string | undefined;
	readonly chunked?: boolean | undefined;
	readonly cookie?: FormerCookie | undefined;
	readonly expires?: unknown;
	readonly expires_in?: unknown;
	readonly rolling?: unknown;
}

/**
 * Reads the sessions of svelte-kit-cookie-session 4, for {@link takeOver}. Pass the options that `handleSession` had. Their
 * data is that of `session.data`, without `expires`.
 */
export function fromCookieSession(options: CookieSessionOptions): FormerSessions {
	const { secret, key = 'kit.session', chunked = false, cookie } = options;
	const secrets = listOf(secret);
	const [newest] = secrets;
	if (!newest) throw new ConfigError('secret_missing', '`fromCookieSession()` needs the secret');
	const part = new RegExp(`^${key.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}\\.(\\d+|meta)$`);
	const whole = (cookies: ReadonlyMap<string, string>): [string, string | undefined] => {
		if (!chunked) return divided(cookies.get(key) ?? '', '&id=');
		const numbers = [...cookies.keys()].filter((name) => name !== `${key}.meta`);
		const at = (name: string): number => Number(part.exec(name)?.[1]);
		const chunks = numbers.sort((a, b) => at(a) - at(b)).map((name) => cookies.get(name));
		return [chunks.join(''), divided(cookies.get(`${key}.meta`) ?? '', '-')[1]];
	};
	return {
		owns: (name) => (chunked ? part.test(name) : name === key),
		async read(cookies) {
			const [text, id] = whole(cookies);
			const used = secrets.find((one) => one.id === Number(id)) ?? newest;
			const opened = await openHex(bytesOf(used.secret), text);
			if (!opened) return null;
			const [name, value] = opened;
			if (typeof value !== 'object' || value === null) return null;
			const { expires, ...data } = value as { expires?: string };
			return { id: name, data: data, expires: new Date(expires ?? '') };
		},
		cookie: attributesOf(cookie)
	};
}

/** The secrets. One without an ID has the ID 1. */
function listOf(secret: CookieSessionOptions['secret']): readonly NumberedSecret[] {
	if (Array.isArray(secret)) return secret as readonly NumberedSecret[];
	return [{ id: 1, secret: secret as FormerSecret }];
}

/** Decrypts `nonce + ciphertext` in hexadecimal digits, by AES-256-GCM. Returns its canonical text, and the value. */
async function openHex(
	secret: Uint8Array<ArrayBuffer>,
	text: string
): Promise<[string, unknown] | undefined> {
	if (!/^(?:[\da-f]{2}){29,}$/i.test(text)) return undefined;
	const name = text.toLowerCase();
	const bytes = Uint8Array.from(name.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
	const key = await crypto.subtle.importKey('raw', secret, 'AES-GCM', false, ['decrypt']);
	const iv = bytes.subarray(0, 12);
	try {
		const rest = bytes.subarray(12);
		const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, rest);
		return [name, JSON.parse(new TextDecoder().decode(plain))];
	} catch {
		return undefined;
	}
}

/** The bytes of a secret, as the library takes them: it uses the whole buffer of a typed array with other elements. */
function bytesOf(secret: FormerSecret): Uint8Array<ArrayBuffer> {
	if (typeof secret === 'string') return new TextEncoder().encode(secret);
	if (secret instanceof Uint8Array) return new Uint8Array(secret);
	return new Uint8Array(ArrayBuffer.isView(secret) ? (secret.buffer as ArrayBuffer) : secret);
}

/** The options of iron-session 8 and 9. Those that say nothing about reading its cookies are ignored. */
export interface IronSessionOptions {
	readonly cookieName: string;
	readonly password: string | Readonly<Record<string, string>>;
	readonly ttl?: number | undefined;
	readonly cookieOptions?: FormerCookie | undefined;
}

/** `unsealData` of iron-session. */
export type UnsealData = <T>(
	seal: string,
	options: { password: string | Record<string, string>; ttl?: number }
) => Promise<T>;

/** Where iron-session may have the end of a cookie: in none if `ttl` is 0. */
export interface IronSessionEnd {
	/** When sessions without an end of their own end. Needed if `ttl` is 0, or `cookieOptions.maxAge` is undefined. */
	readonly until?: Date | undefined;
}

/**
 * Reads the sessions of iron-session 8 and 9, for {@link takeOver}. Pass its `unsealData`, and the options that
 * `getIronSession` had.
 * @throws {@link ConfigError} if its sessions have no end, and `until` is not given
 */
export function fromIronSession(
	unsealData: UnsealData,
	options: IronSessionOptions,
	{ until }: IronSessionEnd = {}
): FormerSessions {
	const { cookieName, password, cookieOptions } = options;
	const isOpen = cookieOptions && 'maxAge' in cookieOptions && cookieOptions.maxAge === undefined;
	const ttl = isOpen ? 0 : options.ttl;
	if (ttl === 0 && !until)
		throw new ConfigError(
			'options',
			'the sessions of iron-session have no end with these options: say how long they count, with `fromIronSession(unsealData, options, { until })`'
		);
	return {
		owns: (name) =>
			name === cookieName ||
			(name.startsWith(`${cookieName}.`) &&
				/^[0-3]$/.test(name.slice(cookieName.length + 1))),
		async read(cookies) {
			const chunks = [0, 1, 2, 3].map((n) => cookies.get(`${cookieName}.${n}`) ?? '');
			const seal = cookies.get(cookieName) ?? chunks.join('');
			const given = typeof password === 'string' ? password : { ...password };
			const options = { password: given, ...(ttl !== undefined && { ttl }) };
			// Version 8 throws for some texts that are no seals, and answers the others with an empty object.
			const data = await unsealData<object>(seal, options).catch(() => ({}));
			if (typeof data !== 'object' || Object.keys(data).length === 0) return null;
			return ironSession(seal, data, until);
		},
		cookie: attributesOf(cookieOptions)
	};
}

/** The session of a valid seal. Its code covers the first six parts, so they are the same in each form of the seal. */
function ironSession(seal: string, data: object, until: Date | undefined): FormerSession {
	const parts = seal.split('*').slice(0, 6);
	const end = Number(parts[5] === '' ? NaN : parts[5]);
	const ends = [end, until?.getTime() ?? NaN].filter((time) => !Number.isNaN(time));
	const expires = new Date(Math.min(...ends));
	return { id: parts.join('*'), data: data, expires };
}

function attributesOf(cookie: FormerCookie | undefined): { path?: string; domain?: string } {
	const { path, domain } = cookie ?? {};
	return { ...(path && { path }), ...(domain && { domain }) };
}

function divided(text: string, by: string): [string, string | undefined] {
	const [before = '', after] = text.split(by);
	return [before, after];
}
