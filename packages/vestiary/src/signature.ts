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

/** The members of a public key as JSON (RFC 7517) that this module reads. */
export interface PublicKey {
	readonly kty?: unknown;
	readonly crv?: unknown;
	readonly use?: unknown;
	readonly alg?: unknown;
	readonly kid?: unknown;
	readonly n?: unknown;
	readonly e?: unknown;
	readonly x?: unknown;
	readonly y?: unknown;
}

/** The least length of the modulus of an RSA key, in characters of base64: 2,048 bits. */
const LEAST = 342;

/**
 * The numbers of a key, if it may sign with this algorithm. A key of another kind or use is none: the algorithm of a token
 * must never choose how a key is read.
 */
export function keyFor(key: PublicKey, algorithm: Algorithm): JsonWebKey | undefined {
	const { kty, crv, use = 'sig', alg = algorithm, n, e, x, y } = key;
	if (use !== 'sig' || alg !== algorithm) return undefined;
	if (algorithm === 'ES256')
		return kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string'
			? { kty, crv, x, y }
			: undefined;
	return kty === 'RSA' && typeof n === 'string' && n.length >= LEAST && typeof e === 'string'
		? { kty, n, e }
		: undefined;
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
