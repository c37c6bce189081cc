import { insertion, type Edit } from '../edits.ts';
import { ending, refused, writeModule, type AuthModule, type Context } from './module.ts';
import { userLookup } from './users.ts';
import { Refusal } from '../refusal.ts';
import type { Script } from '../script.ts';
import {
	exportedFunctions,
	isNode,
	memberOf,
	membersOf,
	nameOf,
	untyped,
	within,
	type ExportedFunction,
	type Node
} from '../syntax.ts';

/** Code by hand, as lucia's site has it and `sv` has written it: its functions act on Vestiary's session. */
export function changeByHand(context: Context): AuthModule {
	const { script, path, options, print } = context;
	const functions = exportedFunctions(script);
	const validate = functions.get('validateSessionToken');
	const create = functions.get('createSession');
	if (!validate || !create)
		throw Refusal.until(
			`${path} must export the functions \`validateSessionToken\` and \`createSession\`: change that`
		);
	if (!/\bexpiresAt\b/.test(script.text(validate.body)))
		throw refused(
			context,
			validate.body,
			'finds sessions without `expiresAt`: give them `id`, `userId` and `expiresAt`'
		);
	checkAttributes(context, [validate.body, create.body]);
	const edits: Edit[] = [
		{
			start: script.start(validate.id),
			end: script.start(validate.id) + 'validateSessionToken'.length,
			text: 'validateFormerToken'
		}
	];
	const awaited = validate.node.async === true ? [] : ['validateSessionToken'];
	const user = userParameter(context, create);
	const id = isNumber(script, user) ? 'Number(userId)' : 'userId';
	const found = userLookup(context, validate, id);
	for (const [name, one] of functions) {
		const { body, params } = one;
		const becomes = (text: string): void => {
			if (body.type !== 'BlockStatement')
				throw refused(context, body, `has no block as the body of \`${name}\`: write one`);
			edits.push({ ...script.place(body), text: `{\n\t${text}\n}` });
		};
		const waits = (): void => {
			if (one.node.async === true) return;
			edits.push(...asynchronous(script, one.node));
			awaited.push(name);
		};
		const last = params.at(-1);
		const parameter = last && nameOf(last);
		if (name === 'createSession') {
			const owner = nameOf(user) ?? '';
			becomes(`const { session } = getRequestEvent().locals;
	await session.login(String(${owner}));
	return sessionOf(getRequestEvent().locals.session, ${owner});`);
			waits();
		} else if (name === 'invalidateSession' && parameter !== undefined) {
			becomes(ending(parameter, options));
			waits();
		} else if (
			/^invalidate(?:All|User)\w*Sessions$/.test(name) &&
			parameter !== undefined &&
			body.type === 'BlockStatement'
		) {
			edits.push(
				insertion(
					script.start(body) + 1,
					`\n\tawait sessions(${options}).of(String(${parameter})).revokeAll();`
				)
			);
			waits();
		} else if (setsCookie(body)) becomes('// Vestiary sets its own cookie.');
	}
	const named = found.user === 'user' ? 'user' : `user: ${found.user}`;
	const end = `/**
 * The user of Vestiary's session, by the ID of their login.${print.js('\n *\n * @param {string} userId')}
 */
export async function validateSessionToken(userId${print.ts(': string')}) {
	${found.lines.join('\n\t')}
	return { session: sessionOf(getRequestEvent().locals.session, ${found.id}), ${named} };
}
`;
	writeModule(context, edits, end);
	return {
		path,
		validate: 'validateSessionToken',
		object: undefined,
		former: 'validateFormerToken',
		awaited
	};
}

/** The members of a session that Vestiary's session has, too. */
const MEMBERS: ReadonlySet<string> = new Set(['id', 'userId', 'expiresAt', 'fresh']);

/** Refuses sessions with more members, such as whether a second factor was given: the code would write them to the old table. */
function checkAttributes(context: Context, bodies: readonly Node[]): void {
	for (const { node } of bodies.flatMap((body) => [...within(body, [])])) {
		if (node.type !== 'VariableDeclarator' || nameOf(node.id) !== 'session') continue;
		const object = isNode(node.init) ? untyped(node.init) : undefined;
		const members = object?.type === 'ObjectExpression' ? membersOf(object) : undefined;
		const more = [...(members?.keys() ?? [])].find((name) => !MEMBERS.has(name));
		if (more !== undefined)
			throw refused(
				context,
				node,
				`has the session attribute \`${more}\`: keep it in the data of the session`
			);
	}
}

/** The parameter of `createSession` with the ID of the user. */
function userParameter(context: Context, { body, params }: ExportedFunction): Node {
	const named = params.find((one) => /^user_?id$/i.test(nameOf(one) ?? ''));
	const user = named ?? (params.length <= 2 ? params.at(-1) : undefined);
	if (user && nameOf(user) !== undefined) return user;
	throw refused(
		context,
		body,
		'has no parameter of `createSession` that is the ID of the user: name it `userId`'
	);
}

function setsCookie(body: Node): boolean {
	return [...within(body, [])].some(({ node }) => {
		const { callee } = node;
		return (
			memberOf(callee) === 'set' &&
			isNode(callee) &&
			(memberOf(callee.object) ?? nameOf(callee.object)) === 'cookies'
		);
	});
}

function isNumber(script: Script, parameter: Node): boolean {
	const { typeAnnotation } = parameter;
	if (isNode(typeAnnotation)) return /:\s*number$/.test(script.text(typeAnnotation));
	return new RegExp(`@param \\{number\\} ${nameOf(parameter) ?? ''}\\b`).test(script.source);
}

/** Makes a function one that may wait, with a promise in the type of its result. */
function asynchronous(script: Script, node: Node): Edit[] {
	const { returnType } = node;
	const type =
		isNode(returnType) && isNode(returnType.typeAnnotation)
			? returnType.typeAnnotation
			: undefined;
	return [
		insertion(script.start(node), 'async '),
		...(type
			? [insertion(script.start(type), 'Promise<'), insertion(script.end(type), '>')]
			: [])
	];
}
