import { edited, insertion, type Edit } from '../edits.ts';
import { changeByHand } from './by-hand.ts';
import { contextOf, type AuthModule, type Context } from './module.ts';
import { changePackage } from './package.ts';
import { leaveSecond } from './second.ts';
import { renameSession } from '../locals.ts';
import { formerModule, portable } from '../portable.ts';
import { importPath, printer, type Draft } from '../project.ts';
import { Refusal } from '../refusal.ts';
import { Script } from '../script.ts';
import { sourcesOf, type Source } from '../sources.ts';
import type { StoreKind } from '../stores.ts';
import {
	importsOf,
	isNode,
	lineOf,
	memberOf,
	nameOf,
	nodesOf,
	untyped,
	within,
	type Node
} from '../syntax.ts';

/**
 * Leaves lucia 2 or 3, or the code by hand that has taken its place, if the app uses one of them. Returns what remains until the last
 * old session has expired.
 */
export function leaveLucia(draft: Draft, store: StoreKind): readonly string[] | undefined {
	const found = scripts(draft).filter(({ text }) => isAuthModule(text));
	const [module, ...others] = found;
	if (!module) return undefined;
	if (others.length > 0)
		throw Refusal.until(
			`${found.map(({ path }) => path).join(' and ')} both make sessions: use one of them`
		);
	renameSession(draft, 'authSession', module.path);
	const context = contextOf(draft, module, store);
	const second = importedAs(context, 'lucia');
	if (second !== undefined) return leaveSecond(context, second);
	const third = importedAs(context, 'Lucia');
	const auth = third === undefined ? changeByHand(context) : changePackage(context, third);
	const names = scripts(draft)
		.filter(({ path }) => path !== module.path)
		.flatMap((source) => changeValidation(draft, source, auth));
	const [name, ...more] = names;
	if (!name)
		throw Refusal.until(
			`no file reads the session's cookie and passes it to \`${auth.validate}\`: do so in hooks.server`
		);
	// The object of lucia knows the name of its cookie.
	if (auth.object === undefined && more.some(({ text }) => text !== name.text))
		throw Refusal.until('the session has cookies with different names: give them the same');
	checkOtherUses(draft, module.path, auth, new Set(names.map(({ text }) => text)));
	for (const source of scripts(draft)) awaitCalls(draft, source, auth);
	writeFormerModule(draft, auth, name);
	return [`\`${auth.former}\` from ${module.path}`, 'the old table'];
}

/** Whether a file makes sessions, and was not changed before. */
function isAuthModule(text: string): boolean {
	if (/\b(?:formerLucia|validateFormerToken)\b/.test(text)) return false;
	if (/\bnew Lucia\b/.test(text) && /(['"])lucia\1/.test(text)) return true;
	if (/\bimport \{[^}]*\blucia\b[^}]*\} from (['"])lucia\1/.test(text)) return true;
	return /\bexport (?:(?:async )?function validateSessionToken\b|const validateSessionToken\s*=)/.test(
		text
	);
}

/** The name by which the module has a value of lucia. */
function importedAs({ script }: Context, value: string): string | undefined {
	return importsOf(script).find(({ from, imported }) => from === 'lucia' && imported === value)
		?.local;
}

/** The modules of the app. */
function scripts(draft: Draft): Source[] {
	return sourcesOf(draft).filter(
		({ path }) => /\.[cm]?[jt]s$/.test(path) && !path.endsWith('.d.ts')
	);
}

/** The expression of a cookie's name, and the imports that it needs elsewhere. */
interface CookieName {
	readonly text: string;
	readonly lines: readonly string[];
}

/** Gives the app's validation the user of Vestiary's session in the place of the cookie. Returns the names of the cookies. */
function changeValidation(draft: Draft, { path, text }: Source, auth: AuthModule): CookieName[] {
	if (!text.includes(auth.validate)) return [];
	const script = new Script(text);
	const names: CookieName[] = [];
	const edits: Edit[] = [];
	for (const { node, around } of nodesOf(script)) {
		if (node.type !== 'CallExpression' || calledOf(script, node, auth) !== auth.validate)
			continue;
		const at = `${path}:${lineOf(script, node)}`;
		const reading = cookieRead(script, (node.arguments as Node[])[0], around);
		const event = reading && eventOf(script, reading);
		const [name] = (reading?.arguments as Node[] | undefined) ?? [];
		if (!reading || event === undefined || !name)
			throw Refusal.until(
				`${at} calls \`${auth.validate}\` with something else than \`event.cookies.get(…)\`: pass that`
			);
		names.push({ text: script.text(name), lines: portable(draft, { path, at, script }, name) });
		edits.push({ ...script.place(reading), text: `${event}.locals.session.userId` });
	}
	const isImported = script.imported(CURRENT, '$app/server') !== undefined;
	const isUsed = edits.some((edit) => edit.text.startsWith(CURRENT));
	const lines = isUsed && !isImported ? [`import { ${CURRENT} } from '$app/server';`] : [];
	draft.write(path, edited(text, [...script.afterImports(lines), ...edits]));
	return names;
}

/** The function of SvelteKit that gives the event where the code has only its parts. */
const CURRENT = 'getRequestEvent';

/** The expression of the event whose cookies are read by `event.cookies.get`, or by `cookies.get`. */
function eventOf(script: Script, { callee }: Node): string | undefined {
	const jar = isNode(callee) ? callee.object : undefined;
	if (nameOf(jar) === 'cookies') return `${CURRENT}()`;
	if (!isNode(jar) || memberOf(jar) !== 'cookies' || !isNode(jar.object)) return undefined;
	return script.text(jar.object);
}

/** The function of the auth module that a call names, however it is imported. */
function calledOf(script: Script, { callee }: Node, auth: AuthModule): string | undefined {
	const imported = (local: string | undefined): string | undefined =>
		importsOf(script).find((one) => one.local === local)?.imported;
	const member = memberOf(callee);
	if (member === undefined) return imported(nameOf(callee));
	const of = imported(nameOf((callee as Node).object));
	return of === '*' || (of !== undefined && of === auth.object) ? member : undefined;
}

/** Waits for the functions of the auth module that return a promise by now. */
function awaitCalls(draft: Draft, { path, text }: Source, auth: AuthModule): void {
	if (!auth.awaited.some((name) => text.includes(name))) return;
	const script = new Script(text);
	const edits: Edit[] = [];
	for (const { node, around } of nodesOf(script)) {
		if (node.type !== 'CallExpression' || around[0]?.type === 'AwaitExpression') continue;
		const own = path === auth.path ? nameOf(node.callee) : undefined;
		const name = own ?? calledOf(script, node, auth);
		if (name === undefined || !auth.awaited.includes(name)) continue;
		const outer = around.find(({ type }) => type.includes('Function'));
		if (outer?.async !== true)
			throw Refusal.until(
				`${path}:${lineOf(script, node)} calls \`${name}\`, which has to wait for the store by now: make the function around it \`async\``
			);
		const isMember = around[0]?.type === 'MemberExpression';
		edits.push(insertion(script.start(node), isMember ? '(await ' : 'await '));
		if (isMember) edits.push(insertion(script.end(node), ')'));
	}
	draft.write(path, edited(text, edits));
}

/** The call of `cookies.get` that has given a value, in the place of which it may stand in a variable. */
function cookieRead(
	script: Script,
	value: Node | undefined,
	around: readonly Node[]
): Node | undefined {
	const name = value && nameOf(untyped(value));
	// Another function may have a variable of the same name.
	const scopes = around.filter(({ type }) => type.includes('Function'));
	const nodes = [...scopes.map((scope) => within(scope, [])), nodesOf(script)];
	const declared = nodes
		.map((all) =>
			[...all].find(
				({ node }) =>
					name !== undefined &&
					node.type === 'VariableDeclarator' &&
					nameOf(node.id) === name
			)
		)
		.find((found) => found !== undefined);
	const from = declared ? declared.node.init : value;
	if (!isNode(from)) return undefined;
	return [...within(from, [])].find(
		({ node }) => node.type === 'CallExpression' && memberOf(node.callee) === 'get'
	)?.node;
}

/** Refuses code that reads or writes the old cookie itself, and functions that only lucia has. */
function checkOtherUses(
	draft: Draft,
	module: string,
	auth: AuthModule,
	names: ReadonlySet<string>
): void {
	for (const { path, text } of scripts(draft)) {
		if (path === module) continue;
		const script = new Script(text);
		for (const { node } of nodesOf(script)) {
			const member = memberOf(node.callee);
			const [first] = (node.arguments as Node[] | undefined) ?? [];
			const at = `${path}:${lineOf(script, node)}`;
			if ((member === 'get' || member === 'set') && first && names.has(script.text(first)))
				throw Refusal.until(
					`${at} ${member}s the session's cookie itself: use \`locals.session\` there`
				);
			const object = isNode(node.callee) ? nameOf(node.callee.object) : undefined;
			if (
				member !== undefined &&
				auth.object !== undefined &&
				object === auth.object &&
				!KEPT.has(member)
			)
				throw Refusal.until(
					`${at} calls \`${object}.${member}\`, for which Vestiary has another way: change that`
				);
		}
	}
}

/** The members of lucia that the app's own object has. */
const KEPT: ReadonlySet<string> = new Set([
	'createSession',
	'createSessionCookie',
	'createBlankSessionCookie',
	'invalidateSession',
	'invalidateUserSessions',
	'validateSession'
]);

/** Writes the module that reads the old cookies. */
function writeFormerModule(draft: Draft, auth: AuthModule, name: CookieName): void {
	const { project } = draft;
	const { ts, js } = printer(project);
	const path = formerModule(project);
	const { former, path: from } = auth;
	const own = `import { ${former} } from '${importPath(path, from.replace(/\.[cm]?[jt]s$/, ''))}';`;
	const read = auth.object === undefined ? former : `${former}.validateSession`;
	const cookie = auth.object === undefined ? name.text : `${former}.sessionCookieName`;
	const lines = auth.object === undefined ? name.lines : [];
	draft.add(
		draft.script(path),
		`${ts("import type { FormerSessions } from 'vestiary';\n\n")}${[own, ...lines].join('\n')}

/**
 * The sessions in the old table, which Vestiary takes over. Without them, this file can go.${js("\n *\n * @type {import('vestiary').FormerSessions}")}
 */
export const former${ts(': FormerSessions')} = {
	owns: (name) => name === ${cookie},
	async read(cookies) {
		const { session } = await ${read}(cookies.get(${cookie}) ?? '');
		if (!session) return null;
		const { id, userId, expiresAt } = session;
		return { id, userId: String(userId), expires: new Date(expiresAt) };
	}
};
`
	);
}
