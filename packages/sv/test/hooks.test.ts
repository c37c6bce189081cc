import { describe, expect, test } from 'vitest';

import { withHandles, type NewHandle } from '../src/hooks.ts';

const SESSION: NewHandle = {
	known: 'sveltekitSessionHandle',
	name: 'handleSession',
	imports: [
		"import { sveltekitSessionHandle } from 'vestiary';",
		"import { options } from './lib/server/session-options';"
	],
	value: 'sveltekitSessionHandle(options)'
};
const IMPORTS = SESSION.imports.join('\n');
const STATEMENT = 'const handleSession = sveltekitSessionHandle(options);';
const SEQUENCE = "import { sequence } from '@sveltejs/kit/hooks';";

/** The file with the handle of the session; a second run must not change it. */
function merged(source: string): string {
	const result = withHandles(source, [SESSION]);
	expect(withHandles(result, [SESSION])).toBe(result);
	return result;
}

test('a new hooks file has the handle alone', () => {
	const file = `${IMPORTS}\n\nexport const handle = sveltekitSessionHandle(options);\n`;
	expect(merged('')).toBe(file);
	expect(merged(' \n')).toBe(file);
});

test('a file with other hooks gets a handle, and keeps its text', () => {
	const source = `import type { HandleServerError } from '@sveltejs/kit';

// Ours.
export const handleError: HandleServerError = () => ({   message: 'oops' });
`;
	expect(merged(source)).toBe(`import type { HandleServerError } from '@sveltejs/kit';
${IMPORTS}

// Ours.
export const handleError: HandleServerError = () => ({   message: 'oops' });

export const handle = sveltekitSessionHandle(options);
`);
});

describe('an existing handle comes after the session', () => {
	const declared = (name: string): string => `${name}\n${IMPORTS}\n\n${STATEMENT}`;

	test('in its sequence, as the first one', () => {
		const source = `${SEQUENCE}
import type { Handle } from '@sveltejs/kit';

const log: Handle = ({ event, resolve }) => resolve(event);
export const handle: Handle = sequence(log /* first */, (input) => log(input));
`;
		expect(merged(source)).toBe(
			source
				.replace("from '@sveltejs/kit';", (all) => declared(all))
				.replace('sequence(log', 'sequence(handleSession, log')
		);
	});

	test('in a sequence of another name, with satisfies, or empty', () => {
		const source = "import { sequence as all } from '@sveltejs/kit/hooks';\n\n";
		const first = merged(`${source}export const handle = all() satisfies object;\n`);
		expect(first).toContain('export const handle = all(handleSession) satisfies object;\n');
		expect(first).not.toContain(SEQUENCE);
		expect(merged(`${source}export const handle = all(a, b) as never;\n`)).toContain(
			'= all(handleSession, a, b) as never;\n'
		);
	});

	test('as a constant', () => {
		const source = `import type { Handle } from '@sveltejs/kit';

export const handle: Handle = async ({ event, resolve }) => {
	// Comments stay.
	return resolve(event);
};
`;
		expect(merged(source)).toBe(`import type { Handle } from '@sveltejs/kit';
${SEQUENCE}
${IMPORTS}

${STATEMENT}

export const handle: Handle = sequence(handleSession, async ({ event, resolve }) => {
	// Comments stay.
	return resolve(event);
});
`);
	});

	test('as a function, with its documentation', () => {
		const source = `/** @type {import('@sveltejs/kit').Handle} */
export async function handle({ event, resolve }) {
	return resolve(event);
}
`;
		expect(merged(source)).toBe(`${SEQUENCE}
${IMPORTS}

${STATEMENT}

/** @type {import('@sveltejs/kit').Handle} */
async function handleRequest({ event, resolve }) {
	return resolve(event);
}

export const handle = sequence(handleSession, handleRequest);
`);
	});

	test('exported by its name, before or after its declaration', () => {
		const result = merged(`export { handle, other as more };
const other = 1;
const handle = ({ event, resolve }) => resolve(event);
`);
		expect(result).toContain('export { handleAll as handle, other as more };');
		expect(result.endsWith('\n\nconst handleAll = sequence(handleSession, handle);\n')).toBe(
			true
		);
		expect(merged('const mine = 1;\nexport { mine as handle };\n')).toContain(
			'const handleAll = sequence(handleSession, mine);'
		);
	});

	test('of another module', () => {
		const alone = merged("export { handle } from './hooks';\n");
		expect(alone).toContain("import { handle as handleRequest } from './hooks';");
		expect(alone).toContain(
			'\nexport const handle = sequence(handleSession, handleRequest);\n'
		);
		expect(alone).not.toContain('export { handle }');
		const among = merged('export { a as handle, init } from "./hooks";\n');
		expect(among).toContain('import { a as handleRequest } from "./hooks";');
		expect(among).toContain('export { init } from "./hooks";');
	});

	test('whose names are taken', () => {
		const source = 'const handleRequest = 1;\nexport function handle() {}\n';
		expect(merged(source)).toContain('function handleRequest2() {}');
		const library =
			"import { handleSession } from 'a';\nexport const handle = handleSession();\n";
		expect(merged(library)).toContain('handle = sequence(handleSession2, handleSession());');
	});
});

test('several handles make a sequence', () => {
	const former: NewHandle = {
		known: 'handleFormer',
		name: 'handleFormer',
		imports: ["import { handleFormer } from './former';"]
	};
	const result = withHandles('', [SESSION, former]);
	expect(result).toContain(
		`\n\n${STATEMENT}\nexport const handle = sequence(handleSession, handleFormer);\n`
	);
	expect(withHandles(result, [SESSION, former])).toBe(result);
});

test('a module that may have a handle under no name is refused', () => {
	expect(() => merged("export * from './hooks';\n")).toThrow("everything of './hooks'");
	const named = merged("export * from './more';\nexport const handle = a;\n");
	expect(named).toContain('sequence(handleSession, a)');
});

test('a file that has the handle stays as it is, in any formatting', () => {
	const source = `import { sveltekitSessionHandle as s } from "vestiary"
export const handle = s({ secret: process.env.S })
`;
	expect(merged(source)).toBe(source);
});
