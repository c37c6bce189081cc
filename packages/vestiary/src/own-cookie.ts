import type { OwnCookie } from './progress.js';
import { ConfigError } from './errors.js';
import { ATTRIBUTE_TYPES, checkedCookie } from './option-types.js';
import type { CookieSerializeOptions, SessionCookieOptions } from './types.js';

/** The attributes for `session.cookie`: those of the options, overridden by the session's own. */
export function cookieWith(
	options: Readonly<SessionCookieOptions>,
	own: OwnCookie | undefined
): SessionCookieOptions {
	if (own === undefined) return { ...options };
	const attributes = JSON.parse(own) as Record<string, unknown>;
	const changed = Object.entries(attributes).map(([name, value]) => {
		if (value === null) return [name, undefined];
		return [name, name === 'expires' ? new Date(value as number) : value];
	});
	const cookie = { ...options, ...Object.fromEntries(changed) } as SessionCookieOptions;
	for (const name of Object.keys(cookie) as (keyof SessionCookieOptions)[])
		// eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- as if the options did not have it
		if (cookie[name] === undefined) delete cookie[name];
	return { ...cookie, path: (cookie as CookieSerializeOptions).path ?? '/' };
}

/**
 * The attributes in an application's `session.cookie` that differ from the options; undefined if none do.
 * @throws ConfigError for an unknown attribute or a wrong type
 */
export function ownIn(
	options: Readonly<SessionCookieOptions>,
	cookie: CookieSerializeOptions
): OwnCookie | undefined {
	// express-session uses null for an absent attribute.
	const given = Object.entries(cookie).filter(([, value]) => value !== null);
	const checked = checkedCookie(Object.fromEntries(given));
	if (checked.encode !== options.encode) {
		throw new ConfigError(
			'cookie_option',
			'`cookie.encode` cannot be set for one session: set it in the options'
		);
	}
	const attributes: Record<string, unknown> = {};
	for (const name of NAMES) {
		const [before, now] = [plain(options[name]), plain(checked[name])];
		if (before !== now) attributes[name] = now ?? null;
	}
	return Object.keys(attributes).length === 0 ? undefined : JSON.stringify(attributes);
}

const NAMES = Object.keys(ATTRIBUTE_TYPES) as Exclude<keyof CookieSerializeOptions, 'encode'>[];

/** The value for JSON. A number that JSON lacks becomes its name, which the core rejects. */
function plain(value: unknown): unknown {
	const number = value instanceof Date ? value.getTime() : value;
	if (typeof number !== 'number') return number;
	return Number.isFinite(number) ? Math.floor(number) : String(number);
}
