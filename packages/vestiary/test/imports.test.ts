import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

import ts from 'typescript';
import { expect, test } from 'vitest';

const SRC = new URL('../src/', import.meta.url).pathname;

/** The modules that are written by hand, by their paths below `src`. */
const modules = new Map(
	readdirSync(SRC, { recursive: true, encoding: 'utf8' })
		.filter((path) => path.endsWith('.ts') && !path.startsWith('generated'))
		.map((path) => [path, parse(path, readFileSync(join(SRC, path), 'utf8'))])
);

function parse(path: string, text: string): ts.SourceFile {
	return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
}

/** Modules that a module imports by a relative path, be it only for a type. */
function importsOf(file: ts.SourceFile): string[] {
	const paths: string[] = [];
	const visit = (node: ts.Node): void => {
		const specifier =
			ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
				? node.moduleSpecifier
				: ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
					? node.argument.literal
					: ts.isCallExpression(node) &&
						  node.expression.kind === ts.SyntaxKind.ImportKeyword
						? node.arguments[0]
						: undefined;
		if (specifier && ts.isStringLiteral(specifier) && specifier.text.startsWith('.'))
			paths.push(
				normalize(join(dirname(file.fileName), specifier.text)).replace(/\.js$/, '.ts')
			);
		ts.forEachChild(node, visit);
	};
	visit(file);
	return paths;
}

/** Groups of modules in which every module imports every other one, directly or indirectly. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
	const reachable = (from: string): Set<string> => {
		const seen = new Set<string>();
		const waiting = [...(graph.get(from) ?? [])];
		for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
			if (seen.has(path)) continue;
			seen.add(path);
			waiting.push(...(graph.get(path) ?? []));
		}
		return seen;
	};
	const reached = new Map([...graph.keys()].map((path) => [path, reachable(path)]));
	const groups = [...reached].map(([path, seen]) =>
		[...seen]
			.filter((other) => reached.get(other)?.has(path))
			.sort()
			.join(' ')
	);
	return [...new Set(groups)].filter(Boolean).sort();
}

/** Names of variables that a module exports and can change afterwards. */
function changeable(file: ts.SourceFile): string[] {
	const variables = file.statements
		.filter(ts.isVariableStatement)
		.filter(({ declarationList }) => !(declarationList.flags & ts.NodeFlags.Constant));
	const named = (declared: ts.VariableDeclaration): string => declared.name.getText();
	const names = variables.flatMap(({ declarationList }) =>
		declarationList.declarations.map(named)
	);
	const exported = variables
		.filter(({ modifiers }) =>
			modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
		)
		.flatMap(({ declarationList }) => declarationList.declarations.map(named));
	const listed = file.statements
		.filter(ts.isExportDeclaration)
		.flatMap(({ exportClause }) =>
			exportClause && ts.isNamedExports(exportClause) ? [...exportClause.elements] : []
		)
		.map(({ propertyName, name }) => (propertyName ?? name).text)
		.filter((name) => names.includes(name));
	return [...exported, ...listed].map((name) => `${file.fileName}: ${name}`);
}

test('no module imports itself by way of others, not even for types', () => {
	const graph = new Map([...modules].map(([path, file]) => [path, importsOf(file)]));
	expect(graph.get('index.ts')).toContain('vestiary.ts');
	expect(cycles(graph)).toEqual([]);
});

test('no module exports a variable that changes', () => {
	expect([...modules].flatMap(([, file]) => changeable(file))).toEqual([]);
});

test('a cycle by a type alone is found, and by a dynamic import', () => {
	const files = {
		'a.ts': "import type { B } from './b.js';",
		'b.ts': "export const load = () => import('./c/c.js');",
		'c/c.ts': "export type A = import('../a.js').A;",
		'd.ts': "export * from './a.js';"
	};
	const graph = Object.entries(files).map(([path, text]): [string, string[]] => [
		path,
		importsOf(parse(path, text))
	]);
	expect(cycles(new Map(graph))).toEqual(['a.ts b.ts c/c.ts']);
});

test('a changeable export is found in both spellings', () => {
	const text = 'export let a = 1; let b = 2; const c = 3; export { b as d, c };';
	expect(changeable(parse('a.ts', text))).toEqual(['a.ts: a', 'a.ts: b']);
});
