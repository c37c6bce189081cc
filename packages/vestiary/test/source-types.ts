import { readFileSync } from 'node:fs';

import ts from 'typescript';

function sourceOf(file: string): ts.SourceFile {
	const url = new URL(`../src/${file}`, import.meta.url);
	return ts.createSourceFile(file, readFileSync(url, 'utf8'), ts.ScriptTarget.Latest, true);
}

/** The names of the members of an interface in `src/types.ts`. */
export function membersOf(name: string): string[] {
	const found = sourceOf('types.ts').statements.find(
		(one): one is ts.InterfaceDeclaration =>
			ts.isInterfaceDeclaration(one) && one.name.text === name
	);
	if (!found) throw new Error(`${name} is not declared`);
	return found.members.map((member) => member.name?.getText() ?? '');
}
