import { edited, type Edit } from './edits.ts';
import { changeAuthModule, isAuthModule, type AuthModule } from './former-lucia-module.ts';
import { renameSession } from './locals.ts';
import { formerModule, portable } from './portable.ts';
import { importPath, printer, type Draft } from './project.ts';
import { Refusal } from './refusal.ts';
import { Script } from './script.ts';
import { sourcesOf, type Source } from './sources.ts';
import type { StoreKind } from './stores.ts';
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
} from './syntax.ts';

const AGAIN = 'and run this again';

/** Leaves lucia 3, or the code by hand that has taken its place. Returns whether the app has used either. */
export function leaveLucia(draft: Draft, store: StoreKind): boolean {
	const found = scripts(draft).filter(({ text }) => isAuthModule(text));
	const [module, ...others] = found;
	if (!module) return false;
	if (others.length > 0)
		throw new Refusal(
			`${found.map(({ path }) => path).join(' and ')} both make sessions: use one of them, ${AGAIN}`
		);
	renameSession(draft, 'authSession', module.path);
	const auth = changeAuthModule(draft, module, store);
	const names = scripts(draft)
		.filter(({ path }) => path !== module.path)
		.flatMap((source) => changeValidation(draft, source, auth));
	const [name, ...more] = names;
	if (!name)
		throw new Refusal(
			`no file reads the session's cookie and passes it to \`${auth.validate}\`: do so in hooks.server, ${AGAIN}`
		);
	if (more.some(({ text }) => text !== name.text))
		throw new Refusal(
			`the session has cookies with different names: give them the same, ${AGAIN}`
		);
	checkOtherUses(draft, module.path, auth, name.text);
	writeFormerModule(draft, auth, name);
	draft.notes.push(
		`When the last session of lucia has expired, remove \`takeOverSessions\` from hooks.server, ${draft.script(formerModule(draft.project))}, \`${auth.former}\` from ${module.path}, and the old table.`
	);
	return true;
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
	for (const { node } of nodesOf(script)) {
		if (node.type !== 'CallExpression' || !isValidation(script, node, auth)) continue;
		const at = `${path}:${lineOf(script, node)}`;
		const reading = cookieRead(script, (node.arguments as Node[])[0]);
		const jar = reading?.callee as Node | undefined;
		const event =
			isNode(jar?.object) && memberOf(jar.object) === 'cookies'
				? jar.object.object
				: undefined;
		const [name] = (reading?.arguments as Node[] | undefined) ?? [];
		if (!reading || !isNode(event) || !name)
			throw new Refusal(
				`${at} calls \`${auth.validate}\` with something else than \`event.cookies.get(…)\`: pass that, ${AGAIN}`
			);
		names.push({ text: script.text(name), lines: portable(draft, { path, at, script }, name) });
		edits.push({
			...script.place(reading),
			text: `${script.text(event)}.locals.session.userId`
		});
	}
	draft.write(path, edited(text, edits));
	return names;
}

/** Whether a call is that of the auth module's function, however it is imported. */
function isValidation(script: Script, { callee }: Node, auth: AuthModule): boolean {
	const imported = (local: string | undefined): string | undefined =>
		importsOf(script).find((one) => one.local === local)?.imported;
	if (memberOf(callee) === undefined) return imported(nameOf(callee)) === auth.validate;
	const of = imported(nameOf((callee as Node).object));
	return memberOf(callee) === auth.validate && (of === '*' || of === auth.object);
}

/** The call of `cookies.get` that has given a value. */
function cookieRead(script: Script, value: Node | undefined): Node | undefined {
	const name = value && nameOf(untyped(value));
	const declared = [...nodesOf(script)].find(
		({ node }) =>
			name !== undefined && node.type === 'VariableDeclarator' && nameOf(node.id) === name
	);
	const from = declared ? declared.node.init : value;
	if (!isNode(from)) return undefined;
	return [...within(from, [])].find(
		({ node }) => node.type === 'CallExpression' && memberOf(node.callee) === 'get'
	)?.node;
}

/** Refuses code that reads or writes the old cookie itself, and functions that only lucia has. */
function checkOtherUses(draft: Draft, module: string, auth: AuthModule, name: string): void {
	for (const { path, text } of scripts(draft)) {
		if (path === module) continue;
		const script = new Script(text);
		for (const { node } of nodesOf(script)) {
			const member = memberOf(node.callee);
			const [first] = (node.arguments as Node[] | undefined) ?? [];
			const at = `${path}:${lineOf(script, node)}`;
			if ((member === 'get' || member === 'set') && first && script.text(first) === name)
				throw new Refusal(
					`${at} ${member}s the session's cookie itself: use \`locals.session\` there, ${AGAIN}`
				);
			const object = isNode(node.callee) ? nameOf(node.callee.object) : undefined;
			if (
				member !== undefined &&
				auth.object !== undefined &&
				object === auth.object &&
				!KEPT.has(member)
			)
				throw new Refusal(
					`${at} calls \`${object}.${member}\`, for which Vestiary has another way: change that, ${AGAIN}`
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
