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

/** The members of the unions that these type aliases of a file are, in their order. */
function unionOf(file: string, name: string): ts.TypeNode[] {
	const found = sourceOf(file).statements.find(
		(one): one is ts.TypeAliasDeclaration =>
			ts.isTypeAliasDeclaration(one) && one.name.text === name
	);
	if (!found) throw new Error(`${name} is not declared`);
	return ts.isUnionTypeNode(found.type) ? [...found.type.types] : [found.type];
}

/** The strings in the union of a type alias in `src/errors.ts`; other types in it are left out. */
export function stringsOf(name: string): string[] {
	return unionOf('errors.ts', name).flatMap((type) =>
		ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal) ? [type.literal.text] : []
	);
}

/** The events in the types, with the names of their fields. */
export function eventsOf(name: string): { event: string; fields: string[] }[] {
	return unionOf('types.ts', name).map((type) => {
		if (!ts.isTypeLiteralNode(type)) throw new Error(`${type.getText()} is no event`);
		const [first, ...fields] = type.members.map((member) => {
			if (!ts.isPropertySignature(member)) throw new Error(member.getText());
			return { name: member.name.getText(), type: member.type?.getText() ?? '' };
		});
		if (first?.name !== 'type')
			throw new Error(`${type.getText()} does not begin with its type`);
		return { event: first.type.slice(1, -1), fields: fields.map((field) => field.name) };
	});
}
