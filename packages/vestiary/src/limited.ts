/** The text of a body; undefined if it has more bytes than this. No more of it is read, then. */
export async function limitedText(
	{ body }: Request | Response,
	most: number
): Promise<string | undefined> {
	if (!body) return '';
	const reader = (body as ReadableStream<Uint8Array>).getReader();
	const decoder = new TextDecoder();
	let text = '';
	let bytes = 0;
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return text + decoder.decode();
		bytes += value.length;
		if (bytes > most) {
			reader.cancel().catch(() => undefined);
			return undefined;
		}
		text += decoder.decode(value, { stream: true });
	}
}
