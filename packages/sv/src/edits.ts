/** The characters of a text from `start` to `end`, and the text that replaces them. */
export interface Edit {
	readonly start: number;
	readonly end: number;
	readonly text: string;
}

/** Puts a text before the character at `start`. */
export function insertion(start: number, text: string): Edit {
	return { start, end: start, text };
}

/** Applies edits that do not overlap. Those at the same place keep their order. */
export function edited(source: string, edits: readonly Edit[]): string {
	let place = 0;
	let result = '';
	for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start)) {
		result += source.slice(place, start) + text;
		place = end;
	}
	return result + source.slice(place);
}

/** JSON with the indentation and the end of another one. */
export function printedLike(before: string, data: unknown): string {
	const indentation = /^\{\r?\n([ \t]+)/.exec(before)?.[1] ?? '\t';
	return `${JSON.stringify(data, null, indentation)}${before.endsWith('\n') ? '\n' : ''}`;
}
