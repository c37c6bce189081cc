import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { describe, expect, test } from 'vitest';

import { selectsAll, userSelect } from '../src/lucia/joined-select.ts';

const database = new DatabaseSync(':memory:');
database.exec(`
	CREATE TABLE user (id TEXT PRIMARY KEY, username TEXT);
	CREATE TABLE session (id TEXT PRIMARY KEY, user_id TEXT, expires_at INTEGER);
	INSERT INTO user VALUES ('1', 'ada'), ('2', 'grace');
	INSERT INTO session VALUES ('s1', '1', 100), ('s2', '1', 200);
`);

/** The answer of a query, as rows in the order of the columns, and as objects. */
function answers(sql: string, parameter: string): unknown[] {
	const rows = database.prepare(sql);
	rows.setReturnArrays(true);
	return [rows.all(parameter), database.prepare(sql).all(parameter)];
}

describe('a query for a session and its user becomes one for the user', () => {
	const user = { id: '1', username: 'ada' };
	const columns = 'session.id AS session, session.expires_at, user.id, user.username';
	const whole = { session: null, expires_at: null, ...user };

	test.each([
		`SELECT ${columns} FROM session INNER JOIN user ON user.id = session.user_id WHERE session.id = ?`,
		`select ${columns} from session join user on session.user_id = user.id where session.id = ? limit 1;`,
		`SELECT ${columns} FROM user INNER JOIN session ON (user.id = session.user_id)\n\tWHERE session.id = ?`,
		'SELECT s.id AS session, s.expires_at, u.id, u.username FROM session s JOIN user AS u ON s.user_id = u.id WHERE s.id = ?',
		'SELECT "session"."id" AS session, "session".expires_at, `user`.id, "user".username FROM main."session" INNER JOIN `user` ON "user".id = "session".user_id WHERE "session"."id" = ?'
	])('%s', (sql) => {
		const changed = userSelect(sql) ?? '';
		expect(answers(changed, '1')).toEqual([[[null, null, '1', 'ada']], [whole]]);
		expect(answers(changed, 's1')).toEqual([[], []]);
	});

	test('the ID of the user in the session is that of the user', () => {
		const sql =
			'SELECT session.id, session.user_id, session.user_id AS owner, user.username FROM session JOIN user ON user.id = session.user_id WHERE session.id = ?';
		expect(answers(sql, 's1')[1]).toEqual([
			{ id: 's1', user_id: '1', owner: '1', username: 'ada' }
		]);
		expect(answers(userSelect(sql) ?? '', '1')[1]).toEqual([
			{ id: null, user_id: '1', owner: '1', username: 'ada' }
		]);
	});

	test('a parameter of a template has the new expression, and others stay', () => {
		const sql = (parameter: string): string =>
			`SELECT user.id FROM session JOIN user ON user.id = session.user_id WHERE session.id = ${parameter}`;
		expect(userSelect(sql('${hash(token)}'), 'userId')).toMatch(
			/ WHERE user\.id = \$\{userId\}$/
		);
		for (const parameter of ['$1', ':id', '@id', '?'])
			expect(userSelect(sql(parameter), 'userId')).toMatch(`WHERE user.id = ${parameter}`);
	});
});

test.each([
	'SELECT * FROM session WHERE id = ?',
	'SELECT user.id FROM session LEFT JOIN user ON user.id = session.user_id WHERE session.id = ?',
	'SELECT user.id FROM session JOIN user ON user.id = session.user_id WHERE id = ?',
	'SELECT user.id FROM session JOIN user USING (id) WHERE session.id = ?',
	'SELECT user.id FROM session JOIN user ON id = user_id WHERE session.id = ?',
	'SELECT user.id FROM session JOIN user ON user.id = session.user_id WHERE session.id = ? AND session.expires_at > 1',
	'SELECT user.id FROM ${name} JOIN user ON user.id = session.user_id WHERE session.id = ?'
])('%s is not changed', (sql) => {
	expect(userSelect(sql)).toBeUndefined();
});

test('all columns of a table are seen', () => {
	const sql = (columns: string): string =>
		`SELECT ${columns} FROM session JOIN user ON user.id = session.user_id WHERE session.id = ?`;
	expect(selectsAll(sql('session.*, user.id'))).toBe(true);
	expect(selectsAll(sql('session.id, user.id'))).toBe(false);
});

test('the guide has a query before and after', () => {
	const guide = new URL('../../../docs/how-to/migrate-from-lucia.md', import.meta.url);
	const samples = readFileSync(guide, 'utf8').matchAll(/```sql\n-- \w+\n([^`]*)\n```/g);
	const [before = '', after = ''] = [...samples].map(([, sql = '']) => sql.replace('\n', ' '));
	expect(userSelect(before)).toBe(after);
});
