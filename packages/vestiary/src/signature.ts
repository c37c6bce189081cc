import { providerKeys } from './generated/vestiary.js';

/** The algorithms that may sign a token, with WebCrypto's names for them. */
const ALGORITHMS = {
	ES256: [
		{ name: 'ECDSA', namedCurve: 'P-256' },
		{ name: 'ECDSA', hash: 'SHA-256' }
	],
	RS256: [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, { name: 'RSASSA-PKCS1-v1_5' }],
	PS256: [
		{ name: 'RSA-PSS', hash: 'SHA-256' },
		{ name: 'RSA-PSS', saltLength: 32 }
	]
} as const;

/** The name of an algorithm in a token. */
export type Algorithm = keyof typeof ALGORITHMS;

/**
 * The keys of a set that may have signed a token with this algorithm and `kid`. A token without `kid` may be signed by each
 * key of its kind.
 * @param set JSON text (RFC 7517)
 * @throws TypeError if it is not a set of keys
 */
export function keysIn(set: string, algorithm: Algorithm, kid: string | undefined): JsonWebKey[] {
	const text = providerKeys(set, algorithm, kid);
	if (text === undefined) throw new TypeError('not a set of keys');
	const numbers = text.split('\n');
	const keys: JsonWebKey[] = [];
	for (let place = 0; place + 1 < numbers.length; place += 2) {
		const [one = '', other = ''] = numbers.slice(place, place + 2);
		keys.push(
			algorithm === 'ES256'
				? { kty: 'EC', crv: 'P-256', x: one, y: other }
				: { kty: 'RSA', n: one, e: other }
		);
	}
	return keys;
}

/** Whether one of these keys has signed a token in compact form. Its form has been checked. */
export async function isSigned(
	token: string,
	algorithm: Algorithm,
	keys: readonly JsonWebKey[]
): Promise<boolean> {
	const end = token.lastIndexOf('.');
	const text = new TextEncoder().encode(token.slice(0, end));
	const signature = bytesOf(token.slice(end + 1));
	const [kind, how] = ALGORITHMS[algorithm];
	const { subtle } = crypto;
	for (const key of keys) {
		try {
			const imported = await subtle.importKey('jwk', key, kind, false, ['verify']);
			if (await subtle.verify(how, imported, signature, text)) return true;
		} catch {
			// A key that is no point of the curve, for example, has signed nothing.
		}
	}
	return false;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
	const text = atob(base64.replaceAll('-', '+').replaceAll('_', '/'));
	return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
