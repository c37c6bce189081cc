/** The hash of a text, in hexadecimal digits. */
export async function hashed(algorithm: 'SHA-1' | 'SHA-256', text: string): Promise<string> {
	const digest = await crypto.subtle.digest(algorithm, new TextEncoder().encode(text));
	return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join(
		''
	);
}
