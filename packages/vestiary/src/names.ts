import { ConfigError } from './errors.js';

/** A description of names, for the message about an unknown one. */
export interface Named {
	/** The kind of such a name: `an option`. */
	kind: string;
	/** The text before each name in the message. Default: none. */
	prefix?: string;
	/** A better advice than the most similar name, if there is one. */
	cure?: (unknown: string) => string | undefined;
}

/** Rejects unknown options, because a misspelt one would be ignored. */
export function checkNames(
	options: object,
	names: readonly string[],
	{ kind, prefix = '', cure: cureOf }: Named
): void {
	const unknown = Object.keys(options).find((name) => !names.includes(name));
	if (unknown === undefined) return;
	const [nearest = ''] = names
		.map((name) => [name, distance(unknown.toLowerCase(), name.toLowerCase())] as const)
		.filter(([name, changes]) => changes <= Math.max(1, name.length / 3))
		.sort(([, one], [, other]) => one - other)
		.map(([name]) => name);
	let cure = `use ${names.map((name) => `\`${prefix}${name}\``).join(', ')}`;
	if (nearest !== '') cure = `did you mean \`${prefix}${nearest}\`?`;
	cure = cureOf?.(unknown) ?? cure;
	throw new ConfigError('options', `\`${prefix}${unknown}\` is not ${kind}: ${cure}`);
}

/** The number of insertions, deletions and replacements between two words (Levenshtein). */
function distance(one: string, other: string): number {
	let row = Array.from({ length: other.length + 1 }, (_, length) => length);
	for (const [i, letter] of one.split('').entries()) {
		const next = [i + 1];
		for (const [j, expected] of other.split('').entries())
			next.push(
				Math.min(
					(row[j + 1] ?? 0) + 1,
					(next[j] ?? 0) + 1,
					(row[j] ?? 0) + (letter === expected ? 0 : 1)
				)
			);
		row = next;
	}
	return row[other.length] ?? 0;
}
