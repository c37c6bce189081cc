import { edited, insertion, type Edit } from './edits.ts';
import { Refusal } from './refusal.ts';
import { Script, type Placed } from './script.ts';

/** A handle to add: its name, and the imports and the statement that declare it. */
export interface NewHandle {
	/** A word that stands in a file that has this handle. */
	readonly known: string;
	readonly name: string;
	readonly imports: readonly string[];
	/** The expression of a handle that no import gives. */
	readonly value?: string;
}

/**
 * Adds handles to the text of a hooks.server file, before the handle that is there, because hooks before the session's
 * handle have no `locals.session`. A file that has them already stays as it is.
 */
export function withHandles(source: string, handles: readonly NewHandle[]): string {
	const script = new Script(source);
	const missing = handles.filter(({ known }) => !script.mentions(known));
	if (missing.length === 0) return source;
	const named = missing.map(({ name, value }) => ({
		name: value ? free(script, name) : name,
		value
	}));
	const names = named.map(({ name }) => name);
	const lines = missing.flatMap(({ imports }) => imports);
	const statements = named.flatMap(({ name, value }) =>
		value ? `const ${name} = ${value};` : []
	);
	const found = findHandle(script);
	const [only] = named;
	if (found.kind === 'none') {
		if (only && named.length === 1)
			return withHandle(script, lines, [], only.value ?? only.name);
		lines.unshift("import { sequence } from '@sveltejs/kit/hooks';");
		return withHandle(script, lines, statements, `sequence(${names.join(', ')})`);
	}

	const sequence = script.imported('sequence', '@sveltejs/kit/hooks');
	if (sequence === undefined) lines.unshift("import { sequence } from '@sveltejs/kit/hooks';");
	const call = sequence ?? 'sequence';
	const { edits, imports = [], end } = merged(script, found, call, names);
	const { length } = source.trimEnd();
	if (end !== undefined) edits.push(insertion(length, `\n\n${end}`));
	const declared = statements.length === 0 ? [] : ['', ...statements];
	return edited(source, [...script.afterImports([...lines, ...imports, ...declared]), ...edits]);
}

/** Gives a file that has no handle this one. */
function withHandle(
	script: Script,
	lines: readonly string[],
	statements: readonly string[],
	value: string
): string {
	const end = [...statements, `export const handle = ${value};`].join('\n');
	const { source } = script;
	if (source.trim() === '') return `${lines.join('\n')}\n\n${end}\n`;
	return edited(`${source.trimEnd()}\n\n${end}\n`, script.afterImports(lines));
}

/** The handle of a hooks file, and how it is exported. */
type Found =
	| { kind: 'none' }
	| { kind: 'value'; init: Placed; call: SequenceCall | undefined }
	| { kind: 'function'; statement: Placed; declaration: Placed; name: Placed }
	| { kind: 'specifier'; specifier: Placed; local: string }
	| {
			kind: 'from';
			statement: Placed;
			specifier: Placed;
			alone: boolean;
			local: string;
			module: string;
	  };

/** A call of `sequence`: the place of its first argument. */
interface SequenceCall {
	readonly first: Placed | undefined;
	readonly callee: Placed;
}

function findHandle(script: Script): Found {
	let star: string | undefined;
	for (const node of script.body) {
		if (node.type === 'ExportAllDeclaration' && node.exported === null)
			star = String(node.source.value);
		if (node.type !== 'ExportNamedDeclaration') continue;
		const { declaration } = node;
		if (declaration?.type === 'FunctionDeclaration' && declaration.id.name === 'handle') {
			return { kind: 'function', statement: node, declaration, name: declaration.id };
		}
		if (declaration?.type === 'VariableDeclaration') {
			for (const { id, init } of declaration.declarations) {
				if (id.type !== 'Identifier' || id.name !== 'handle' || !init) continue;
				return { kind: 'value', init, call: sequenceCall(script, init) };
			}
		}
		for (const specifier of node.specifiers) {
			const { exported, local } = specifier;
			if (exported.type !== 'Identifier' || exported.name !== 'handle') continue;
			if (local.type !== 'Identifier') continue;
			if (!node.source) return { kind: 'specifier', specifier, local: local.name };
			const alone = node.specifiers.length === 1;
			const module = script.text(node.source);
			return { kind: 'from', statement: node, specifier, alone, local: local.name, module };
		}
	}
	if (star !== undefined) {
		throw Refusal.until(
			`hooks.server exports everything of '${star}', which may have a handle: export the handle by its name`
		);
	}
	return { kind: 'none' };
}

function sequenceCall(
	script: Script,
	init: { type: string; expression?: unknown }
): SequenceCall | undefined {
	const sequence = script.imported('sequence', '@sveltejs/kit/hooks');
	const inner = init as {
		type: string;
		expression?: { type: string };
		callee?: { type: string; name?: string } & Placed;
		arguments?: Placed[];
	};
	if (inner.expression) return sequenceCall(script, inner.expression);
	const { callee } = inner;
	if (inner.type !== 'CallExpression' || callee?.name !== sequence || !callee) return undefined;
	return { first: inner.arguments?.[0], callee };
}

function merged(
	script: Script,
	found: Exclude<Found, { kind: 'none' }>,
	sequence: string,
	names: readonly string[]
): Merged {
	const first = names.join(', ');
	const all = (last: string): string => `${sequence}(${first}, ${last})`;
	switch (found.kind) {
		case 'value': {
			const { init, call } = found;
			if (call?.first) return { edits: [insertion(script.start(call.first), `${first}, `)] };
			if (call) {
				const open = script.source.indexOf('(', script.end(call.callee)) + 1;
				return { edits: [insertion(open, first)] };
			}
			const begin = insertion(script.start(init), `${sequence}(${first}, `);
			return { edits: [begin, insertion(script.end(init), ')')] };
		}
		case 'function': {
			const name = free(script, 'handleRequest');
			return {
				edits: [
					script.beginningRemoved(found.statement, found.declaration),
					{ ...script.place(found.name), text: name }
				],
				end: `export const handle = ${all(name)};`
			};
		}
		case 'specifier': {
			const name = free(script, 'handleAll');
			const edits = [{ ...script.place(found.specifier), text: `${name} as handle` }];
			// At the end, where the application's own handle has its value.
			return { edits, end: `const ${name} = ${all(found.local)};` };
		}
		case 'from': {
			const name = free(script, 'handleRequest');
			const imports = [`import { ${found.local} as ${name} } from ${found.module};`];
			const end = `export const handle = ${all(name)};`;
			if (found.alone) {
				return { edits: [{ ...script.place(found.statement), text: '' }], imports, end };
			}
			const place = script.place(found.specifier);
			const comma = /^\s*,\s*/.exec(script.source.slice(place.end))?.[0].length ?? 0;
			return { edits: [{ ...place, end: place.end + comma, text: '' }], imports, end };
		}
	}
}

/** Changes in the text of a hooks file, more imports, and a statement at its end. */
interface Merged {
	readonly edits: Edit[];
	readonly imports?: string[];
	readonly end?: string;
}

/** A name that the script does not have. */
export function free(script: Script, wanted: string): string {
	let name = wanted;
	for (let n = 2; script.mentions(name); n++) name = `${wanted}${n}`;
	return name;
}
