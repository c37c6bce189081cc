// Makes the vectors that come from outside: `node vectors/generate.mjs`, with the npm packages
// installed. A test makes them again and compares, so that nobody edits them by hand.
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import { parseCookie, stringifySetCookie } from 'cookie';
import { sign } from 'cookie-signature';

const IDS = [
	'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
	'pp9Hg1coYA8xRVSYlsFzV4vCvuO14mS_',
	'c0ffee00-1111-4222-8333-444455556666',
	'an.id.of.an.app.with.dots.in.it'
];
const ASCII = ['keyboard cat, a long one', '0123456789abcdef0123456789abcdef'];
const UNICODE = [
	's\u00e9cret, s\u00e9cret, s\u00e9cret',
	'\u79d8\u5bc6\u79d8\u5bc6\u79d8\u5bc6\u79d8\u5bc6',
	'\u{1F9E5} coat and ticket'
];

/** svelte-kit-sessions 0.4.0 takes `charCodeAt(i) & 0xff` of every UTF-16 unit of a secret. */
function signLikeSeed(id, secret) {
	const key = Buffer.from(
		Array.from({ length: secret.length }, (_, i) => secret.charCodeAt(i) & 0xff)
	);
	return `${id}.${createHmac('sha256', key).update(id).digest('base64').replace(/=+$/, '')}`;
}

export function signedValues() {
	const cases = [];
	for (const id of IDS) {
		for (const secret of [...ASCII, ...UNICODE]) {
			const value = sign(id, secret);
			cases.push({ secrets: [secret], value, id, ours: true });
			cases.push({ secrets: [secret], value: encodeURIComponent(value), id, ours: false });
			cases.push({
				secrets: [secret],
				value: `s:${value}`,
				id,
				ours: true,
				format: 'express'
			});
			cases.push({
				secrets: [secret],
				value: encodeURIComponent(`s:${value}`),
				id,
				ours: false
			});
			cases.push({ secrets: ['a new secret, long enough', secret], value, id, ours: false });
			cases.push({ secrets: ['a new secret, long enough'], value, id: null, ours: false });
			cases.push({ secrets: [secret], value: `${value}=`, id: null, ours: false });
		}
		for (const secret of UNICODE) {
			cases.push({ secrets: [secret], value: signLikeSeed(id, secret), id, ours: false });
		}
	}
	return cases;
}

const VALUES = ['abc', 'a.b+c/d', 'with space', '\u00fcmlaut', '100%'];
const COOKIES = [
	{},
	{ path: '/app' },
	{ domain: 'example.com', httpOnly: true },
	{ domain: '.example.com', secure: true, sameSite: 'none' },
	{ maxAge: 0 },
	{ maxAge: -1 },
	{ maxAge: 31536000, sameSite: true },
	{ expires: 0 },
	{ expires: 951782399000, maxAge: 60 },
	{ expires: 951782400000, priority: 'low' },
	{ expires: 253402300799000, priority: 'medium' },
	{ partitioned: true, secure: true, priority: 'high', sameSite: 'strict' },
	{ httpOnly: false, secure: false, sameSite: false }
];

export function setCookies() {
	return COOKIES.flatMap((cookie) =>
		VALUES.map((value) => {
			// What the caller leaves out is SvelteKit's choice, and always a path.
			const { expires, ...attributes } = {
				path: '/',
				httpOnly: true,
				sameSite: 'lax',
				...cookie
			};
			const date = expires === undefined ? {} : { expires: new Date(expires) };
			const header = stringifySetCookie(
				{ name: 'sid', value, ...attributes, ...date },
				{ encode: encodeURIComponent }
			);
			return { name: 'sid', value, cookie, header };
		})
	);
}

const HEADERS = [
	'sid=abc',
	'a=1; sid=abc; b=2',
	'a=1;sid=abc;b=2',
	'sid=a=b=c',
	'sid=',
	' sid = abc ',
	'\tsid\t=\tabc\t',
	'other=1',
	'sid',
	'sid;x=1',
	';;;sid=abc;;;',
	'SID=abc',
	'xsid=abc',
	'sidx=abc'
];

export function cookieHeaders() {
	return HEADERS.map((header) => {
		const value = parseCookie(header, { decode: (text) => text }).sid;
		return { name: 'sid', header, values: value === undefined ? [] : [value] };
	});
}

export const FILES = {
	'signed-values': {
		origin: 'npm cookie-signature 1.2.2; encodeURIComponent of its output; the low-byte form of svelte-kit-sessions 0.4.0 by node:crypto',
		cases: signedValues
	},
	'set-cookie': {
		origin: 'npm cookie 2.0.2, stringifySetCookie with encodeURIComponent',
		cases: setCookies
	},
	'cookie-header': {
		origin: 'npm cookie 2.0.2, parseCookie without decoding',
		cases: cookieHeaders
	}
};

if (process.argv[1] === import.meta.filename) {
	for (const [name, { origin, cases }] of Object.entries(FILES)) {
		const text = `${JSON.stringify({ origin, cases: cases() }, null, '\t')}\n`;
		writeFileSync(new URL(`${name}.json`, import.meta.url), text);
	}
}
