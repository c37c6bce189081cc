import { parse } from '@sveltejs/sv-utils';

import { insertion, type Edit } from './edits.ts';

type Program = ReturnType<typeof parse.script>['ast'];
export type Statement = Program['body'][number];

/** Part of a script that has a place in its text. */
export interface Placed {
	readonly start?: number;
	readonly end?: number;
}

/**
 * A module, parsed. Its text is changed at the places of its parts, so that comments and formatting of the application
 * stay as they are; to print the whole tree would reformat the file.
 */
export class Script {
	readonly source: string;
	readonly body: Program['body'];
	/** The parser counts from the beginning of the component in which it parses the script. */
	readonly #offset: number;

	constructor(source: string) {
		const { ast } = parse.script(source);
		this.source = source;
		this.body = ast.body;
		this.#offset = (ast as Placed).start ?? 0;
	}

	start(node: Placed): number {
		return (node.start ?? 0) - this.#offset;
	}

	end(node: Placed): number {
		return (node.end ?? 0) - this.#offset;
	}

	place(node: Placed): { start: number; end: number } {
		return { start: this.start(node), end: this.end(node) };
	}

	/** Removes the beginning of a node, up to one of its parts. */
	beginningRemoved(node: Placed, part: Placed): Edit {
		return { start: this.start(node), end: this.start(part), text: '' };
	}

	text(node: Placed): string {
		return this.source.slice(this.start(node), this.end(node));
	}

	/** Whether a word stands anywhere in the text, so that a new declaration of it could clash. */
	mentions(word: string): boolean {
		return new RegExp(`\\b${word}\\b`).test(this.source);
	}

	/** Whether it imports anything of a module. */
	imports(from: string): boolean {
		return this.body.some(
			(node) => node.type === 'ImportDeclaration' && node.source.value === from
		);
	}

	/** The local name of a value that is imported from a module. */
	imported(name: string, from: string): string | undefined {
		for (const node of this.body) {
			if (node.type !== 'ImportDeclaration' || node.source.value !== from) continue;
			for (const specifier of node.specifiers) {
				if (specifier.type !== 'ImportSpecifier') continue;
				const { imported } = specifier;
				if (imported.type === 'Identifier' && imported.name === name)
					return specifier.local.name;
			}
		}
		return undefined;
	}

	/** Adds lines after the last import, or before the first statement. */
	afterImports(lines: readonly string[]): Edit[] {
		if (lines.length === 0) return [];
		const last = this.body.findLast((node) => node.type === 'ImportDeclaration');
		if (last) return [insertion(this.end(last), lines.map((line) => `\n${line}`).join(''))];
		return [insertion(0, `${lines.join('\n')}\n\n`)];
	}
}
