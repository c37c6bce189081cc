import { edited, insertion } from './edits.ts';
import { sessionInLocals } from './locals.ts';
import type { Draft } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';

const IMPORT = "import 'vestiary';";

/** Declares the data of a session in app.d.ts, where SvelteKit's types are, too. */
export function declareData(draft: Draft): void {
	const { src, language } = draft.project;
	const path = `${src}/app.d.ts`;
	const source = draft.read(path);
	checkLocals(source ?? '');
	const own = `${src}/session.d.ts`;
	if (/declare module (['"])vestiary\1/.test(`${source ?? ''}${draft.read(own) ?? ''}`)) return;
	if (source === undefined || source.trim() === '') {
		if (language === 'ts') draft.write(path, `${IMPORT}\n\n${DATA}`);
		return;
	}
	const script = new Script(source);
	const isModule = script.body.some((node) => /^(?:Import|Export)/.test(node.type));
	// An import would make it a module, and its declarations would not be global any more.
	if (!isModule) {
		draft.write(own, `${IMPORT}\n\n${DATA}`);
		return;
	}
	const imports = script.imports('vestiary') ? [] : [IMPORT];
	const first = script.body[0];
	if (first?.type === 'ImportDeclaration') {
		draft.write(
			path,
			edited(source, script.afterImports([...imports, '', ...DATA.trimEnd().split('\n')]))
		);
		return;
	}
	const text = `${imports.map((line) => `${line}\n\n`).join('')}${DATA}\n`;
	draft.write(path, edited(source, [insertion(0, text)]));
}

const DATA = `declare module 'vestiary' {
	/** The data of a session. It is stored as JSON, and a new session has none of it. */
	interface SessionData {
		cart?: string[];
	}
}
`;

/** Refuses `App.Locals` whose `session` has another type than Vestiary's. */
function checkLocals(source: string): void {
	const place = sessionInLocals(source);
	if (place === undefined) return;
	const code = source.slice(place);
	if (
		/^session\s*:\s*(?:import\((['"])vestiary\1\)\.)?Session\b/.test(code) &&
		source.includes('vestiary')
	)
		return;
	throw new Refusal(
		'`App.Locals` in app.d.ts has a `session` of another library. Vestiary puts its session there: rename or remove the other one, and run this again'
	);
}
