import { randomBytes } from 'node:crypto';

import { text } from '@sveltejs/sv-utils';

import { edited, insertion } from './edits.ts';
import type { Draft, Project } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';

/** A variable of the environment. */
export interface Variable {
	readonly name: string;
	readonly description: string;
	/** The value for `.env`. Without it, the application's value is expected there. */
	readonly value?: () => string;
	/** The value for `.env.example`, which is committed. */
	readonly example: string;
}

export const SECRET: Variable = {
	name: 'SESSION_SECRET',
	description: 'Signs the session cookie',
	value: () => randomBytes(32).toString('base64'),
	example: ''
};

/** The import of these variables, and the expression of each, in a module of the app. */
export function environment(
	{ declaresEnvironment }: Project,
	names: readonly string[]
): { line: string; of: (name: string) => string } {
	if (declaresEnvironment) {
		const line = `import { ${names.join(', ')} } from '$app/env/private';`;
		return { line, of: (name) => name };
	}
	return {
		line: "import { env } from '$env/dynamic/private';",
		of: (name) => `env.${name} ?? ''`
	};
}

/** Declares variables, and puts them into `.env`, which is not committed, and `.env.example`, which is. */
export function declare(draft: Draft, variables: readonly Variable[]): void {
	if (draft.project.declaresEnvironment) declareInSource(draft, variables);
	let env = draft.read('.env') ?? '';
	let example = draft.read('.env.example') ?? '';
	for (const { name, description, value, example: shown } of variables) {
		env = filled(env, name, `"${value?.() ?? shown}"`, description);
		example = filled(example, name, `"${shown}"`, description);
	}
	draft.write('.env', env);
	declareForWrangler(draft, variables, env);
	draft.write('.env.example', example);
	ignore(draft, '.env', /^\/?\.env(\*|\.\*)?\s*$/m);
}

/** Gives the file of wrangler the values of `.env`, which wrangler does not read where it has a file of its own. */
function declareForWrangler(draft: Draft, variables: readonly Variable[], env: string): void {
	let own = draft.read('.dev.vars');
	if (own === undefined) return;
	for (const { name, description } of variables) {
		const line = new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=[ \\t]*(.*)$`, 'm').exec(env);
		own = filled(own, name, line?.[1] ?? '""', description);
	}
	draft.write('.dev.vars', own);
	ignore(draft, '.dev.vars', /^\/?\.dev\.vars(\*|\.\*)?\s*$/m);
}

/** Keeps files out of git, unless a line of .gitignore does so already. */
export function ignore(draft: Draft, files: string, known: RegExp): void {
	const lines = draft.read('.gitignore') ?? '';
	if (!known.test(lines)) draft.write('.gitignore', `${lines}${ended(lines)}${files}\n`);
}

/** Adds `NAME=value` to a file of variables. If the variable exists without a value, it gets this one. */
function filled(content: string, name: string, value: string, comment: string): string {
	const empty = new RegExp(`^(\\s*(?:export\\s+)?${name}\\s*=)[ \\t]*(?:""|'')?[ \\t]*$`, 'm');
	if (value !== '""' && empty.test(content))
		return content.replace(empty, (_, start: string) => `${start}${value}`);
	if (new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=`, 'm').test(content)) return content;
	const added = text.upsert(content, name, { value, comment, separator: true });
	return `${added}${ended(added)}`;
}

function ended(content: string): string {
	return content === '' || content.endsWith('\n') ? '' : '\n';
}

/** Declares variables in src/env. */
function declareInSource(draft: Draft, variables: readonly Variable[]): void {
	const { kit, src } = draft.project;
	const path = draft.existing(`${src}/env`);
	const source = draft.read(path) ?? '';
	const missing = variables.filter(({ name }) => !new RegExp(`\\b${name}\\b`).test(source));
	if (missing.length === 0) return;
	const members = missing.map(
		({ name, description }) => `	${name}: {
		description: '${description}',
		// The build does not need it.
		schema: (value) => value ?? ''
	}`
	);
	const from = kit === 3 ? '@sveltejs/kit/env' : '@sveltejs/kit/hooks';
	if (source.trim() === '') {
		const declared = `export const variables = defineEnvVars({\n${members.join(',\n')}\n});\n`;
		draft.write(path, `import { defineEnvVars } from '${from}';\n\n${declared}`);
		return;
	}
	const object = source.indexOf('{', source.search(/\bdefineEnvVars\s*\(\s*\{/));
	if (object < 0 || new Script(source).imported('defineEnvVars', from) === undefined)
		throw new Refusal(`${path} has no \`defineEnvVars({ … })\` to declare variables in`);
	const rest = /^\s*\}/.test(source.slice(object + 1)) ? '\n' : ',';
	draft.write(path, edited(source, [insertion(object + 1, `\n${members.join(',\n')}${rest}`)]));
}
