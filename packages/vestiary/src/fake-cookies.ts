import type { RequestEvent } from '@sveltejs/kit';

type Cookies = RequestEvent['cookies'];
type CookieOptions = NonNullable<Parameters<Cookies['set']>[2]>;

/** The cookies of a browser, as it sends them: by name, encoded. */
export type Browser = ReadonlyMap<string, string>;

/** The `Cookie` header of a browser; undefined without cookies. */
export function cookieHeader(browser: Browser): string | undefined {
	if (browser.size === 0) return undefined;
	return [...browser].map(([name, value]) => `${name}=${value}`).join('; ');
}

/** A browser after a response with these `Set-Cookie` headers. Domains and paths are not compared. */
export function browserAfter(browser: Browser, setCookies: readonly string[]): Browser {
	const after = new Map(browser);
	for (const header of setCookies) {
		const [pair = '', ...attributes] = header.split(';');
		const at = pair.indexOf('=');
		const name = pair.slice(0, at).trim();
		if (attributes.some(isOver)) after.delete(name);
		else after.set(name, pair.slice(at + 1).trim());
	}
	return after;
}

/** Whether an attribute says that the browser is to remove the cookie. */
function isOver(attribute: string): boolean {
	const [name = '', value = ''] = attribute.trim().split('=');
	if (/^max-age$/i.test(name)) return Number(value) <= 0;
	return /^expires$/i.test(name) && Date.parse(value) <= Date.now();
}

/** The cookie jar of a request: the parts of SvelteKit's that an application uses. */
export class FakeCookies {
	readonly #browser: Browser;
	readonly #isSecure: boolean;
	/** The cookies that the request has set, by name. */
	readonly #set = new Map<string, { value: string; options: CookieOptions }>();

	constructor(browser: Browser, url: URL) {
		this.#browser = browser;
		this.#isSecure = url.protocol === 'https:';
		// An application may take the functions out of the jar.
		this.jar = {
			get: (name) => this.#values().get(name),
			getAll: () => [...this.#values()].map(([name, value]) => ({ name, value })),
			set: (name, value, options = { path: '/' }) => {
				this.#set.set(name, { value, options });
			},
			delete: (name, options) => {
				this.#set.set(name, { value: '', options: { ...options, maxAge: 0 } });
			},
			serialize: (name, value, options = { path: '/' }) =>
				this.#serialized(name, value, options)
		};
	}

	/** `event.cookies`. SvelteKit 3 has `parse`, too. */
	readonly jar: Pick<Cookies, 'get' | 'getAll' | 'set' | 'delete' | 'serialize'>;

	/** The `Set-Cookie` headers of the response. From now on no cookie can be set. */
	close(): string[] {
		this.jar.set = this.jar.delete = () => {
			throw new Error('Cannot use `cookies.set(...)` after the response has been generated');
		};
		return [...this.#set].map(([name, { value, options }]) =>
			this.#serialized(name, value, options)
		);
	}

	#values(): Map<string, string> {
		const values = new Map<string, string>();
		for (const [name, value] of this.#browser) values.set(name, decoded(value));
		for (const [name, { value, options }] of this.#set)
			if (options.maxAge === 0) values.delete(name);
			else values.set(name, value);
		return values;
	}

	#serialized(name: string, value: string, options: CookieOptions): string {
		const { encode = encodeURIComponent, path = '/', domain, expires, maxAge } = options;
		const { httpOnly = true, secure = this.#isSecure, sameSite = 'lax', partitioned } = options;
		const parts = [`${name}=${encode(value)}`, `Path=${path}`];
		if (domain) parts.push(`Domain=${domain}`);
		if (maxAge !== undefined) parts.push(`Max-Age=${maxAge}`);
		if (expires) parts.push(`Expires=${expires.toUTCString()}`);
		if (httpOnly) parts.push('HttpOnly');
		if (secure) parts.push('Secure');
		if (partitioned) parts.push('Partitioned');
		if (sameSite) parts.push(`SameSite=${sameSite === true ? 'strict' : sameSite}`);
		return parts.join('; ');
	}
}

function decoded(value: string): string {
	try {
		return decodeURIComponent(value);
	} catch {
		return value;
	}
}
