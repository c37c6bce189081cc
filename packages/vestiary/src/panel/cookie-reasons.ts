import type { VestiaryError } from '../errors.js';
import type { Scope } from '../scope.js';
import { isLocalHost } from '../this-machine.js';

/** A statement about a request, with the cure if it is a problem. */
export interface Reason {
	readonly kind: 'good' | 'note' | 'problem';
	readonly text: string;
	readonly cure?: string;
}

/** The causes of an event of the core, as docs/how-to/troubleshooting.md has them. */
const CAUSES: Readonly<Record<string, Reason>> = {
	rejected: problem(
		'The cookie is forged, or another secret has signed it: another app on this host (ports make no difference), or the secret has changed.',
		'Use one secret from the environment, and put the old one second in the list. Give each app its own `name`.'
	),
	unknown: problem(
		'The signature is valid, but the store has no record of the session: it expired, ended, or was lost. Sessions in memory end with the process.',
		'Use a store; set `rolling` if sessions end too early.'
	),
	expired: problem(
		'The session was unused for `idleTimeout`, or `absoluteTimeout` has passed.',
		'Log in again, or set longer timeouts.'
	),
	revoked: problem('The user, or the app, has revoked the session.', 'Log in again.'),
	reuse: problem(
		'A login or a renewal has replaced this ID: the browser has a newer cookie, or the old one was stolen.',
		'Ignore isolated cases. Investigate if there are many.'
	),
	unreadable: problem(
		'The record cannot be read: `encrypt` was turned on or off, its secret is not in the list any more, or another program writes under these keys.',
		"Use `encrypt: 'migrate'`, and keep old secrets in the list; or set another `prefix`."
	),
	gone: problem(
		'Another request has ended the session, so the changes of this one were dropped.',
		'Nothing to do: a later save must not bring the session back.'
	),
	invalid_data: problem(
		'Members of the stored data do not fit the schema, and were dropped.',
		'Pass `migrate` for data of older versions.'
	),
	store_failed: problem(
		'The store has failed.',
		'Look at the error in the terminal, and at the store’s log.'
	),
	failed: problem(
		'An operation that the app did not await has failed after the response had left.',
		'`await` it.'
	),
	created: { kind: 'good', text: 'A new session was stored.' },
	destroyed: { kind: 'good', text: 'The app has ended the session.' },
	conflict: {
		kind: 'note',
		text: 'Another request has written the session meanwhile, and both changes were merged.'
	}
};

/** The causes of the event `bound`, by its reason. */
const BOUND: Readonly<Record<string, Reason>> = {
	registered: { kind: 'good', text: 'The browser has bound the session to its device.' },
	missing: problem(
		'The session is bound to a device, and the request has no valid bound cookie: the browser did not refresh it, or the cookies were copied.',
		'Look at the last POST to `/refresh`: after an answer of 4xx a browser never asks again, and the visitor has to log in.'
	),
	refused: problem(
		'The proof of the session’s key was refused: it is forged, or made by another browser.',
		'Nothing to do: the session stays with the device that it is bound to.'
	)
};

/** The cause of an event of the core. */
export function causeOf({ type, reason }: { type: string; reason?: string }): Reason {
	const bound = type === 'bound' ? BOUND[reason ?? ''] : undefined;
	if (bound) return bound;
	if (type === 'rotated')
		return { kind: 'good', text: `The session has a new ID, by a ${reason ?? 'login'}.` };
	return CAUSES[type] ?? { kind: 'note', text: `The event \`${type}\`.` };
}

/** The errors of this package. Their messages contain no secret, ID or data, and say what to do. */
const OWN_ERROR =
	/^(?:Config|Data|LoginOutdated|Once|ResponseSent|Store|TooManySessions|UpdateNested)Error$/;

/**
 * The failure of an operation; undefined if the error is one of the app. The panel has other classes than the app, so it goes
 * by their names.
 */
export function failureOf(error: unknown): Reason | undefined {
	const { name, code, message } = (error ?? {}) as Partial<Record<keyof VestiaryError, unknown>>;
	if (typeof name !== 'string' || !OWN_ERROR.test(name) || typeof code !== 'string')
		return undefined;
	const text = `${name} \`${code}\`: ${String(message)}.`;
	return problem(text, 'The terminal shows where, and its cause.');
}

function problem(text: string, cure: string): Reason {
	return { kind: 'problem', text, cure };
}

/** The attributes of a `Set-Cookie` header, by their names in lower case, and without the cookie's value. */
function attributesOf(header: string): Map<string, string> {
	const [, ...parts] = header.split(';').map((part) => part.trim());
	return new Map(
		parts.map((part) => {
			const [name = '', ...value] = part.split('=');
			return [name.toLowerCase(), value.join('=')];
		})
	);
}

/** The reasons for which a browser that made this request would not keep a cookie. */
export function unkept(name: string, header: string, url: URL, headers: Headers): Reason[] {
	const attributes = attributesOf(header);
	const isSecure = attributes.has('secure');
	const isPlain = url.protocol === 'http:' && !isLocalHost(url.hostname);
	const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase();
	const isEmbedded = headers.get('sec-fetch-dest') === 'iframe';
	const isCrossSite = headers.get('sec-fetch-site') === 'cross-site';
	const checks: readonly (readonly [boolean, string, string])[] = [
		[
			isPlain && isSecure,
			`The browser does not keep it: \`Secure\` over http from ${url.hostname}.`,
			'Use https or localhost, or `cookie: { secure: false }` during development.'
		],
		[
			domain !== undefined && !`.${url.hostname}`.endsWith(`.${domain}`),
			`The browser does not keep it: \`Domain=${domain ?? ''}\` is neither ${url.hostname} nor a parent of it.`,
			'Leave `domain` out.'
		],
		[
			attributes.get('samesite')?.toLowerCase() === 'none' && !isSecure,
			'The browser does not keep it: `SameSite=None` without `Secure`.',
			'Leave `secure` out: it is turned on.'
		],
		[
			/^__(?:host|secure)-/i.test(name) && !isSecure,
			`The browser does not keep it: the prefix of \`${name}\` needs \`Secure\`.`,
			'Leave `secure` out, or the prefix during development.'
		],
		[
			name.startsWith('__Host-') && (domain !== undefined || attributes.get('path') !== '/'),
			`The browser does not keep it: the prefix of \`${name}\` needs \`Path=/\` and no \`Domain\`.`,
			'Leave `path` and `domain` out.'
		],
		[
			isEmbedded && isCrossSite && !attributes.has('partitioned'),
			'The page is in a frame of another site, where the browser keeps only partitioned cookies.',
			"`cookie: { sameSite: 'none', partitioned: true }`"
		],
		[
			!covers(attributes.get('path') ?? '/', url.pathname),
			`The browser will not send it to this page: \`Path=${attributes.get('path') ?? ''}\` does not cover ${url.pathname}.`,
			'Leave `cookie.path` out.'
		]
	];
	return checks.flatMap(([is, text, cure]) => (is ? [problem(text, cure)] : []));
}

/** The reasons for which a request may be without the cookie, although the browser has it. */
export function unsent({ runtime, event }: Scope): Reason[] {
	const { cookie } = runtime;
	const site = event.request.headers.get('sec-fetch-site');
	const reasons: Reason[] = [];
	if (!covers(cookie.path, event.url.pathname))
		reasons.push(
			problem(
				`The browser sends the cookie only below \`${cookie.path}\`, and this page is outside of it.`,
				'Leave `cookie.path` out.'
			)
		);
	if (site === 'cross-site' && cookie.sameSite !== 'none')
		reasons.push(
			problem(
				`The request comes from another site, and the cookie has \`SameSite=${String(cookie.sameSite ?? 'lax')}\`.`,
				'Use `lax`, the default, for links from other sites; `none` for requests of their pages.'
			)
		);
	const isFetch = event.request.headers.get('sec-fetch-mode') === 'cors';
	if (isFetch && (site === 'cross-site' || site === 'same-site'))
		reasons.push(
			problem(
				'The request is a `fetch` to another origin, which leaves cookies out by default.',
				"`credentials: 'include'`, and CORS for it"
			)
		);
	return reasons;
}

/** Whether a cookie with this path is sent to a page (RFC 6265bis section 5.1.4). */
function covers(path: string, page: string): boolean {
	return page === path || page.startsWith(path.endsWith('/') ? path : `${path}/`);
}
