import { describe, expect, test } from 'vitest';

import { plan } from '../src/plan.ts';
import { ANSWERS, project, settled } from './projects.ts';

const AUTH = 'src/lib/server/auth.ts';

/** An app whose function that validates a token has this body. */
function app(
	body: string,
	more: Record<string, string> = {},
	begin = 'async '
): Record<string, string> {
	return {
		[AUTH]: `import { db, pool, prisma, eq, table, hash } from './db';

export ${begin}function createSession(token: string, userId: string): Promise<Session> {
	await db.insert(table.session).values({ id: hash(token), userId, expiresAt: new Date() });
}

export ${begin}function validateSessionToken(token: string) {
${body}
	if (Date.now() >= session.expiresAt.getTime()) return { session: null, user: null };
	return { session, user };
}
`,
		'src/hooks.server.ts': `import { validateSessionToken } from '$lib/server/auth';

export const handle = async ({ event, resolve }) => {
	const { session, user } = await validateSessionToken(event.cookies.get('session') ?? '');
	event.locals.user = user;
	return resolve(event);
};
`,
		...more
	};
}

/** The function that finds the user of Vestiary's session in the changed app. */
function validation(body: string, more: Record<string, string> = {}): string {
	const { written } = settled(project(app(body, more)), { from: 'lucia' });
	const text = written.get(AUTH) ?? '';
	return text.slice(text.indexOf('export async function validateSessionToken('));
}

/** The reason for which an app is refused. */
function reason(files: Record<string, string>): string {
	const planned = plan(project(files), { ...ANSWERS, from: 'lucia' });
	return planned.kind === 'refused' ? planned.reason : 'nothing is refused';
}

const found = (
	lines: string,
	user = 'user',
	id = 'user.id'
): string => `export async function validateSessionToken(userId: string) {
${lines}
	return { session: sessionOf(getRequestEvent().locals.session, ${id}), ${user} };
}
`;

const ABSENT = 'return { session: null, user: null };';

describe('the user is found by their ID with', () => {
	test('a relation of Prisma, by the names in its schema', () => {
		const schema = `model Session {
  id     String @id
  owner  AuthUser @relation(fields: [ownerId], references: [uid])
}
model AuthUser {
  uid String @id
}
`;
		const body = `	const result = await prisma.session.findUnique({
		where: { id: hash(token) },
		include: { owner: { select: { id: true, name: true } } }
	});
	if (result === null) ${ABSENT}
	const { owner: user, ...session } = result;`;
		expect(validation(body, { 'prisma/schema.prisma': schema })).toBe(
			found(`	const found = await prisma.authUser.findUnique({ where: { uid: userId }, select: { id: true, name: true } });
	if (!found) ${ABSENT}
	const result = { owner: found };
	const { owner: user } = result;`)
		);
	});

	test('a relation of Prisma without a schema, whose user has no ID', () => {
		const body = `	const result = await prisma.session.findFirst({
		where: { id: hash(token) },
		include: { user: { select: { name: true } } }
	});
	if (!result) ${ABSENT}
	const { user, ...session } = result;`;
		expect(validation(body)).toBe(
			found(
				`	const found = await prisma.user.findUnique({ where: { id: userId }, select: { name: true } });
	if (!found) ${ABSENT}
	const result = { user: found };
	const { user } = result;`,
				'user',
				'userId'
			)
		);
	});

	test('a join of drizzle, by the number of its rows', () => {
		const body = `	const rows = await db
		.select({ user: table.user, session: table.session })
		.from(table.session)
		.innerJoin(table.user, eq(table.session.userId, table.user.id))
		.where(eq(table.session.id, hash(token)))
		.limit(1);
	if (rows.length < 1 || rows[0].session.expiresAt < new Date()) ${ABSENT}
	const { user, session } = rows[0];`;
		expect(validation(body)).toBe(
			found(`	const rows = await db.select({ user: table.user }).from(table.user).where(eq(table.user.id, userId))
		.limit(1);
	if (rows.length < 1) ${ABSENT}
	const { user } = rows[0];`)
		);
	});

	test('SQL, whose parameter is the hash of the token', () => {
		const body = `	try {
	const bytes = new TextEncoder().encode(token);
	const { rows } = await pool.query(
		'SELECT session.expires_at, "user".id, "user".name FROM session INNER JOIN "user" ON "user".id = session.user_id WHERE session.id = $1',
		[hash(bytes)]
	);
	const row = rows.at(0);
	if (row === undefined) ${ABSENT}
	const session = { expiresAt: row.expires_at };
	return { session, user: toUser(row) };
	} catch {
		${ABSENT}
	}`;
		expect(
			validation(
				body.replace('return { session, user: toUser(row) };', 'const user = toUser(row);')
			)
		).toBe(
			found(
				`	const { rows } = await pool.query(
		'SELECT session.expires_at, "user".id, "user".name FROM "user" LEFT JOIN session ON 1 = 0 WHERE "user".id = $1',
		[userId]
	);
	const row = rows.at(0);
	if (row === undefined) ${ABSENT}
	const user = toUser(row);`,
				'user',
				'userId'
			)
		);
	});

	test('a query of its own', () => {
		const body = `	const session = await db.find(hash(token));
	if (!session) ${ABSENT}
	const [user] = await pool\`SELECT id, name FROM users WHERE id = \${session.user_id}\`;`;
		expect(validation(body)).toBe(
			found(
				`	const [user] = await pool\`SELECT id, name FROM users WHERE id = \${userId}\`;
	if (!user) ${ABSENT}`,
				'user',
				'userId'
			)
		);
	});

	test('a query whose answer is changed where it is returned, and that is checked once', () => {
		const body = `	const session = await db.find(hash(token));
	if (!session) ${ABSENT}
	const [user] = await db.users(session.userId);
	if (!user) ${ABSENT}`;
		const text = app(body)[AUTH] ?? '';
		const files = {
			[AUTH]: text.replace('{ session, user }', '{ session, user: shown(user) }')
		};
		const { written } = settled(project({ ...app(body), ...files }), { from: 'lucia' });
		expect(written.get(AUTH)).toContain(
			found(
				`	const [user] = await db.users(userId);
	if (!user) ${ABSENT}
	const known = shown(user);`,
				'user: known',
				'userId'
			)
		);
	});

	test('a value that is made where it is returned', () => {
		const body = `	const session = await db.find(hash(token));
	if (!session) ${ABSENT}
	const { userId } = session;
	const account = await db.user(userId);
	if (!account) ${ABSENT}
	if (account) return { session, user: { id: account.id, name: account.name } };
	const user = null;`;
		const files = app(body.replace('\n	const user = null;', ''));
		const text = (files[AUTH] ?? '').replace('	return { session, user };\n', '');
		const { written } = settled(project({ ...files, [AUTH]: text }), { from: 'lucia' });
		expect(written.get(AUTH)).toContain(
			found(`	const account = await db.user(userId);
	if (!account) ${ABSENT}
	const user = { id: account.id, name: account.name };`)
		);
	});
});

test.each([
	[
		'the token alone',
		'	const user = await db.userOfToken(token);\n	const session = user.session;',
		'cannot be followed'
	],
	[
		'a query of another form',
		"	const row = await db.get('SELECT user.id FROM session LEFT JOIN user ON user.id = session.user_id WHERE session.id = ?', token);\n	if (!row) return;\n	const user = row;\n	const session = row;",
		'cannot be changed into one for the user'
	],
	[
		'all columns',
		"	const row = await db.get('SELECT session.*, user.name FROM session JOIN user ON user.id = session.user_id WHERE session.id = ?', token);\n	if (!row) return;\n	const user = { id: row.user_id };\n	const session = row;",
		'selects `*`'
	],
	[
		'a query and the token',
		'	const session = await db.find(token);\n	const [row] = await db.user(session.userId);\n	const user = { ...row, token };',
		'cannot be followed'
	],
	[
		'no check',
		'	const session = await db.find(token);\n	const answer = await db.user(session.userId);\n	const user = answer.rows[0];',
		'does not say what happens without a user'
	]
])('a user by %s is refused', (_, body, sentence) => {
	expect(reason(app(body))).toContain(sentence);
});

test('a session with attributes is refused', () => {
	const body = `	const row = await db.find(hash(token));
	if (!row) ${ABSENT}
	const session = { id: row.id, userId: row.user, expiresAt: row.end, twoFactor: row.factor };
	const [user] = await pool\`SELECT id FROM users WHERE id = \${session.userId}\`;`;
	expect(reason(app(body))).toContain(
		'src/lib/server/auth.ts:10 has the session attribute `twoFactor`'
	);
	expect(reason(app(body.replace(', twoFactor: row.factor', '')))).toBe('nothing is refused');
});

test('a session without an end is refused', () => {
	const files = app('	const user = 1;\n	const session = 2;');
	const text = (files[AUTH] ?? '').replaceAll('expiresAt', 'expires');
	expect(reason({ ...files, [AUTH]: text })).toContain('without `expiresAt`');
});

describe('functions that had no promise', () => {
	const body = `	const row = db.get('SELECT session.id, user.id FROM session JOIN user ON user.id = session.user_id WHERE session.id = ?', token);
	if (!row) ${ABSENT}
	const session = { expiresAt: row[0] };
	const user = { id: row[1] };`;
	const files = app(body, {}, '');
	const sync = {
		...files,
		[AUTH]: (files[AUTH] ?? '').replace('Promise<Session>', 'Session').replace('await ', ''),
		'src/hooks.server.ts': (files['src/hooks.server.ts'] ?? '').replace(
			'await validate',
			'validate'
		)
	};
	const route = (code: string): Record<string, string> => ({
		'src/routes/+page.server.ts': `import * as auth from '$lib/server/auth';\n\n${code}\n`
	});

	test('are awaited where they are called', () => {
		const login = 'export const login = async () => auth.createSession("a", "1").id;';
		const { written } = settled(project({ ...sync, ...route(login) }), { from: 'lucia' });
		expect(written.get(AUTH)).toContain(
			'export async function createSession(token: string, userId: string): Promise<Session> {'
		);
		expect(written.get(AUTH)).toContain('export function validateFormerToken(token: string) {');
		expect(written.get('src/hooks.server.ts')).toContain(
			"= await validateSessionToken(event.locals.session.userId ?? '')"
		);
		expect(written.get('src/routes/+page.server.ts')).toContain(
			'(await auth.createSession("a", "1")).id'
		);
	});

	test('are refused where the code around cannot wait', () => {
		const login = 'export const login = () => auth.createSession("a", "1");';
		expect(reason({ ...sync, ...route(login) })).toContain(
			'src/routes/+page.server.ts:3 calls `createSession`, which has to wait'
		);
	});
});

test('the user is the parameter of this name, wherever it stands', () => {
	const body = `	const [user] = await pool\`SELECT id, name FROM users WHERE id = \${db.session(token).userId}\`;
	const session = 1;`;
	const third = (name: string): string => {
		const files = app(
			body.replace('db.session(token)', 'session').replace('= 1', '= await db.find(token)')
		);
		const text = files[AUTH] ?? '';
		return text.replace('userId: string)', `${name}: string, remember: boolean)`);
	};
	const files = app('');
	const { written } = settled(project({ ...files, [AUTH]: third('userId') }), { from: 'lucia' });
	expect(written.get(AUTH)).toContain('await session.login(String(userId));');
	expect(reason({ ...files, [AUTH]: third('owner') })).toContain(
		'has no parameter of `createSession`'
	);
});
