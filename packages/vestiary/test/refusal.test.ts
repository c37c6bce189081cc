import { expect, test } from 'vitest';

import { refusalOf } from '../src/refusal.js';

/* An error with which a store answers that nothing was done, and one that says nothing about it. */

const refused = (code: string | undefined, full = false): object => ({ code, full });

test.each<[string, unknown, object | undefined]>([
	['Redis', { message: 'READONLY You can’t write' }, refused('READONLY')],
	['Redis', { message: 'OOM command not allowed' }, refused('OOM', true)],
	['Redis', { message: 'NOAUTH' }, refused('NOAUTH')],
	['Redis', { message: 'Command failed: MISCONF no' }, refused('MISCONF')],
	['Redis', { message: 'Command 1 [ set ] failed: OOM no' }, refused('OOM', true)],
	['Redis', { message: 'OOMPH' }, undefined],
	['Redis', { message: 'connection lost: OOM' }, undefined],
	['Redis', { message: 7 }, undefined],
	['ioredis', { message: 'MODULE says no', name: 'ReplyError' }, refused(undefined)],
	['node:sqlite', { code: 'ERR_SQLITE_ERROR', errcode: 8 }, refused('SQLite error 8')],
	['node:sqlite', { code: 'ERR_SQLITE_ERROR', errcode: 13 }, refused('SQLite error 13', true)],
	['node:sqlite', { code: 'ERR_SQLITE_ERROR', errcode: 1_034 }, undefined],
	['node:sqlite', { code: 'ERR_SQLITE_ERROR', errcode: '13' }, undefined],
	['node:sqlite', { code: 'ERR_OTHER', errcode: 13 }, undefined],
	['SQLite', { code: 'SQLITE_READONLY' }, refused('SQLITE_READONLY')],
	['SQLite', { code: 'SQLITE_FULL' }, refused('SQLITE_FULL', true)],
	['SQLite', { code: 'SQLITE_IOERR_WRITE' }, undefined],
	['SQLite', { code: 'NOT_SQLITE_FULL' }, undefined],
	['Postgres', { severity: 'ERROR', code: '42501' }, refused('42501')],
	['Postgres', { severity: 'ERROR', code: '53100' }, refused('53100', true)],
	['Postgres', { severity: 'ERROR', code: '53200' }, refused('53200', true)],
	['Postgres', { severity: 'ERROR', code: '53300' }, refused('53300')],
	['Postgres', { severity: 'FATAL', code: '57P01' }, undefined],
	['Postgres', { severity: 'FATAL', code: '08006' }, undefined],
	['Postgres', { severity: 'ERROR', code: '40003' }, undefined],
	['Postgres', { severity: 'ERROR', code: 'ECONNRESET' }, undefined],
	['Postgres', { severity: 'ERROR', code: 53_100 }, undefined],
	['no server', { code: '53100' }, undefined],
	['MySQL', { sqlState: 'HY000', code: 'ER_NO_SUCH_TABLE' }, refused('ER_NO_SUCH_TABLE')],
	['MySQL', { sqlState: 'HY000', code: 'ER_DISK_FULL' }, refused('ER_DISK_FULL', true)],
	[
		'MySQL',
		{ sqlState: 'HY000', code: 'ER_RECORD_FILE_FULL' },
		refused('ER_RECORD_FILE_FULL', true)
	],
	[
		'MySQL',
		{ sqlState: '40001', code: 'ER_LOCK_DEADLOCK', errno: 1_213 },
		refused('ER_LOCK_DEADLOCK')
	],
	['MySQL', { sqlState: '08S01', code: 'ER_SERVER_SHUTDOWN', errno: 1_053 }, undefined],
	['MySQL', { sqlState: '70100', code: 'ER_CONNECTION_KILLED', errno: 1_927 }, undefined],
	['MySQL', { sqlState: 'HY000', code: 'ER_ERROR_DURING_COMMIT', errno: 1_180 }, undefined],
	['MySQL', { sqlState: 'HY000', code: 'ER_UNKNOWN_ERROR', errno: 1_105 }, undefined],
	['MySQL', { sqlState: 'HY000', code: 'PROTOCOL_CONNECTION_LOST' }, undefined],
	['mariadb', { sqlState: 'HY000', code: 'ER_SOCKET_TIMEOUT', errno: 45_026 }, undefined],
	['MySQL', { code: 'ER_DISK_FULL' }, undefined],
	['a store of the application', { refused: true }, refused(undefined)],
	['a store of the application', { refused: true, full: true }, refused(undefined, true)],
	['a store of the application', { refused: 'yes', full: true }, undefined],
	['no error', null, undefined],
	['no error', 'OOM command not allowed', undefined],
	['no error', undefined, undefined]
])('%s: %j', (_, error, expected) => {
	expect(refusalOf(error)).toEqual(expected);
});

test('an error whose members throw says nothing', () => {
	const error = Object.defineProperty({}, 'message', {
		get: () => {
			throw new Error('no');
		}
	});
	expect(refusalOf(error)).toBeUndefined();
});
