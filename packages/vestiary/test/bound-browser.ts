import {
	sveltekitSessionHandle,
	type Session,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNED = { name: 'ECDSA', hash: 'SHA-256' };

/** The texts of a proof: members in place of those that Chromium sends, or whole parts. */
export interface Forged {
	header?: object | string;
	payload?: object | string;
	signature?: string;
	/** Signs in place of the device's key. */
	key?: CryptoKey;
}

/** The answer of one of the two addresses. */
export interface Answer {
	status: number;
	challenge: string | undefined;
	instructions: Instructions | undefined;
	cookies: string[];
}

/** The instructions for the browser. */
export interface Instructions {
	session_identifier: string;
	refresh_url: string;
	scope: object;
	credentials: { type: string; name: string; attributes: string }[];
}

/** A key pair of a device. */
export async function newKey(): Promise<CryptoKeyPair> {
	return crypto.subtle.generateKey(P256, true, ['sign', 'verify']);
}

export function base64url(bytes: ArrayBuffer | Uint8Array | string): string {
	return Buffer.from(bytes as Uint8Array).toString('base64url');
}

/** A device: the key pair that its browser has made, and what the browser keeps of a session. */
export class Device {
	readonly #pair: CryptoKeyPair;
	/** The challenge to sign next. */
	challenge = '';
	/** The name of the binding. */
	identifier = '';

	constructor(pair: CryptoKeyPair) {
		this.#pair = pair;
	}

	/** Keeps the challenge of a login's response; none if it has no `Secure-Session-Registration`. */
	asked({ headers }: Response): void {
		const header = headers.get('secure-session-registration') ?? '';
		this.challenge = /;challenge="([^"]*)"/.exec(header)?.[1] ?? '';
	}

	/** Keeps what one of the two addresses has answered. */
	async answered(response: Response): Promise<Answer> {
		const { status, headers } = response;
		const header = headers.get('secure-session-challenge') ?? '';
		const challenge = /^"([^"]*)";id="[^"]*"$/.exec(header)?.[1];
		const body = await response.text();
		const instructions = body === '' ? undefined : (JSON.parse(body) as Instructions);
		if (challenge !== undefined) this.challenge = challenge;
		if (instructions) this.identifier = instructions.session_identifier;
		return { status, challenge, instructions, cookies: headers.getSetCookie() };
	}

	/** The public key, as a registration has it. */
	async jwk(): Promise<{ kty: string; crv: string; x: string; y: string }> {
		const { x = '', y = '' } = await crypto.subtle.exportKey('jwk', this.#pair.publicKey);
		return { crv: 'P-256', kty: 'EC', x, y };
	}

	/** A proof as Chromium makes it, but for what is forged. */
	async proof(forged: Forged = {}, registers = false): Promise<string> {
		const jwk = registers ? { jwk: await this.jwk() } : {};
		const part = (given: object | string | undefined, own: object): string =>
			base64url(typeof given === 'string' ? given : JSON.stringify({ ...own, ...given }));
		const header = part(forged.header, { alg: 'ES256', ...jwk, typ: 'dbsc+jwt' });
		const payload = part(forged.payload, { jti: this.challenge });
		return this.sign(`${header}.${payload}`, forged);
	}

	/** The text with its signature. */
	async sign(text: string, { key, signature }: Forged = {}): Promise<string> {
		if (signature !== undefined) return `${text}.${signature}`;
		const bytes = new TextEncoder().encode(text);
		const signed = await crypto.subtle.sign(SIGNED, key ?? this.#pair.privateKey, bytes);
		return `${text}.${base64url(signed)}`;
	}
}

/** A browser that binds sessions to its device, as Chromium does: docs/how-to/device-bound-sessions.md. */
export class BoundBrowser extends Device {
	readonly jar = new Map<string, string>();
	readonly #handle: SessionHandle;

	private constructor(handle: SessionHandle, pair: CryptoKeyPair) {
		super(pair);
		this.#handle = handle;
	}

	static async open(options: SveltekitSessionConfig | SessionHandle): Promise<BoundBrowser> {
		const handle = typeof options === 'function' ? options : sveltekitSessionHandle(options);
		return new BoundBrowser(handle, await newKey());
	}

	/** Another browser with a copy of the cookies, and a key of its own. */
	async stolen(): Promise<BoundBrowser> {
		const thief = new BoundBrowser(this.#handle, await newKey());
		for (const [name, value] of this.jar) thief.jar.set(name, value);
		thief.challenge = this.challenge;
		thief.identifier = this.identifier;
		return thief;
	}

	/**
	 * One request. Gives the response, with the session as the application has left it. If the application throws, SvelteKit's
	 * response has only the cookies of the jar, and the exception is thrown.
	 */
	async visit(
		app: (session: Session) => unknown = () => undefined,
		{ path = '/', headers = {}, method = 'GET' }: Asked = {}
	): Promise<{ response: Response; session: Session }> {
		const pairs = [...this.jar].map(([name, value]) => `${name}=${value}`);
		const cookie = pairs.length > 0 ? pairs.join('; ') : undefined;
		const { event, cookies } = testEvent(cookie, `https://app.example${path}`);
		for (const [name, value] of Object.entries(headers)) event.request.headers.set(name, value);
		Object.assign(event.request, { method });
		let response: Response;
		try {
			response = await this.#handle({
				event,
				resolve: async () => {
					await app(event.locals.session);
					return new Response(null, { status: 404 });
				}
			});
		} catch (thrown) {
			for (const { name, value = '' } of cookies)
				this.jar.set(name, decodeURIComponent(value));
			throw thrown;
		}
		for (const one of response.headers.getSetCookie()) this.#receive(one);
		return { response, session: event.locals.session };
	}

	#receive(header: string): void {
		const [pair = '', ...attributes] = header.split('; ');
		const at = pair.indexOf('=');
		if (attributes.includes('Max-Age=0')) this.jar.delete(pair.slice(0, at));
		else this.jar.set(pair.slice(0, at), pair.slice(at + 1));
	}

	/** Logs in, and keeps the challenge. Gives the response's `Secure-Session-Registration`. */
	async logIn(user = 'ada'): Promise<string | null> {
		const { response } = await this.visit(async (session) => session.login(user));
		this.asked(response);
		return response.headers.get('secure-session-registration');
	}

	/** Logs in, and binds the session. */
	async bind(user = 'ada'): Promise<Answer> {
		await this.logIn(user);
		return this.register();
	}

	/** Sends a proof to the address of the registration. */
	async register(proof?: string, path = '/device-session'): Promise<Answer> {
		const sent = proof ?? (await this.proof({}, true));
		return this.#prove(`${path}/register`, { 'secure-session-response': sent });
	}

	/** Refreshes the bound cookie, in as many requests as it takes. */
	async refresh(): Promise<Answer> {
		const answer = await this.ask(this.challenge === '' ? undefined : await this.proof());
		if (answer.status !== 403 || answer.challenge === undefined) return answer;
		return this.ask(await this.proof());
	}

	/** One request to the address of the refresh. */
	async ask(proof?: string, identifier = this.identifier): Promise<Answer> {
		return this.#prove('/device-session/refresh', {
			...(identifier !== '' && { 'sec-secure-session-id': identifier }),
			...(proof !== undefined && { 'secure-session-response': proof })
		});
	}

	async #prove(path: string, headers: Record<string, string>): Promise<Answer> {
		const { response } = await this.visit(undefined, { path, headers, method: 'POST' });
		return this.answered(response);
	}
}

interface Asked {
	path?: string;
	headers?: Record<string, string>;
	method?: string;
}
