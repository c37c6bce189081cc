// Generates the vectors that other packages define: `node vectors/generate.mjs`, with the npm packages installed. A
// test generates them again and compares, so they must not be edited by hand.
import { createCipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
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
				format: 'express-session'
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
			// Absent attributes are SvelteKit's choice; there is always a path.
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

const NAMESPACES = [null, 'shop', 'admin.v2'];
const WRITE_ID = 'bWFyay1vZi1hLXdy';

/** HChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2): the key for the rest of a long nonce. */
function hchacha20(key, nonce) {
	const words = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
	for (let i = 0; i < 8; i++) words.push(key.readUInt32LE(4 * i));
	for (let i = 0; i < 4; i++) words.push(nonce.readUInt32LE(4 * i));
	const rotated = (word, by) => (word << by) | (word >>> (32 - by));
	const quarter = (a, b, c, d) => {
		for (const [by, then] of [
			[16, 12],
			[8, 7]
		]) {
			words[a] = (words[a] + words[b]) | 0;
			words[d] = rotated(words[d] ^ words[a], by);
			words[c] = (words[c] + words[d]) | 0;
			words[b] = rotated(words[b] ^ words[c], then);
		}
	};
	for (let round = 0; round < 10; round++) {
		for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
		for (let i = 0; i < 4; i++)
			quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
	}
	const out = Buffer.alloc(32);
	[0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => out.writeInt32LE(words[word] | 0, 4 * i));
	return out;
}

export function xchacha20poly1305(key, nonce, text, aad) {
	const inner = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
	const cipher = createCipheriv('chacha20-poly1305', hchacha20(key, nonce), inner, {
		authTagLength: 16
	});
	cipher.setAAD(aad, { plaintextLength: text.length });
	return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

/** The scheme as crates/vestiary/src/crypto/seal.rs and docs/explanation/security.md describe it. */
export function sealedRecords() {
	const secrets = ['thirty-two bytes, or better more', 's\u00e9cret '.repeat(6)];
	const data = ['{}', '{"user":"ada","text":"\u79d8\u5bc6 \ud83e\udde5"}'];
	return secrets.flatMap((secret, s) =>
		NAMESPACES.flatMap((namespace, n) =>
			data.map((json, d) => {
				const id = IDS[(s + n + d) % IDS.length];
				const key = `sess:${n}:${id}`;
				const text = `{"v":"${WRITE_ID}","cookie":{"path":"/"},"data":${json},"meta":{"created":1}}`;
				const nonce = createHash('sha256').update(`${s}${n}${d}`).digest().subarray(0, 24);
				const derived = (info, length) =>
					Buffer.from(hkdfSync('sha256', secret, 'vestiary/v1', info, length));
				const name = derived('vestiary.seal-name.v1', 4);
				const box = derived(`vestiary.record.v1\0${namespace ?? ''}\0${id}`, 32);
				const head = Buffer.concat([Buffer.from([1]), name]);
				const place = `${namespace ?? ''}\0${key}\0${WRITE_ID}`;
				const aad = Buffer.concat([head, Buffer.from(place)]);
				const body = xchacha20poly1305(box, nonce, Buffer.from(text), aad);
				const sealed = Buffer.concat([head, nonce, body]).toString('base64url');
				return {
					secret,
					namespace,
					id,
					key,
					nonce: nonce.toString('hex'),
					text,
					sealed: `{"v":"${WRITE_ID}","sealed":"${sealed}"}`
				};
			})
		)
	);
}

/** Keys in the store, and cookies of a namespace, by node:crypto. */
export function namespaces() {
	const secret = ASCII[1];
	const hash = (text) => createHash('sha256').update(text).digest('base64url');
	return NAMESPACES.flatMap((namespace) =>
		IDS.map((id) => {
			const before = namespace === null ? '' : `${namespace}:`;
			const derived =
				namespace === null
					? secret
					: createHmac('sha256', secret)
							.update(`vestiary.namespace.v1${namespace}`)
							.digest();
			const signature = createHmac('sha256', derived).update(id).digest('base64');
			return {
				secret,
				namespace,
				id,
				user: `user of ${id}`,
				cookie: `${id}.${signature.replace(/=+$/, '')}`,
				key: `${before}${id}`,
				hashed: `${before}${hash(`vestiary.id.v1${id}`)}`,
				userKey: `${before}user:${hash(`vestiary.user.v1user of ${id}`)}`
			};
		})
	);
}

/** Tombstones: the new ID, hidden with HMACs of the old one. */
export function tombstones() {
	return IDS.flatMap((old) =>
		[...IDS, 'long'.repeat(40)].map((next) => {
			const bytes = Buffer.from(next);
			for (let n = 0; n * 32 < bytes.length; n++) {
				const pad = createHmac('sha256', old)
					.update(`vestiary.next.v1${WRITE_ID}`)
					.update(Buffer.from([n]))
					.digest();
				for (let i = 32 * n; i < Math.min(bytes.length, 32 * n + 32); i++)
					bytes[i] ^= pad[i % 32];
			}
			const hidden = bytes.toString('base64url');
			const meta = `{"next":"${hidden}","grace":5}`;
			return {
				id: old,
				record: `{"v":"${WRITE_ID}","cookie":{},"data":{},"meta":${meta}}`,
				next
			};
		})
	);
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
	},
	sealed: {
		origin: 'the scheme of crypto/seal.rs by node:crypto (HKDF, ChaCha20-Poly1305) and HChaCha20 of draft-irtf-cfrg-xchacha-03',
		cases: sealedRecords
	},
	namespaces: {
		origin: 'node:crypto, SHA-256 and HMAC-SHA256',
		cases: namespaces
	},
	tombstones: {
		origin: 'node:crypto, HMAC-SHA256',
		cases: tombstones
	}
};

if (process.argv[1] === import.meta.filename) {
	for (const [name, { origin, cases }] of Object.entries(FILES)) {
		const text = `${JSON.stringify({ origin, cases: cases() }, null, '\t')}\n`;
		writeFileSync(new URL(`${name}.json`, import.meta.url), text);
	}
}
