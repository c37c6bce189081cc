import { redacted } from '../cause.js';
import { StoreError } from '../errors.js';

/** The faults of a deployment that SQLite names only by a number. */
type Fault = 'cannot_open' | 'foreign_table' | 'not_database' | 'read_only';

/** The primary result codes, in the low byte of a number or at the start of a name. */
const FAULT_OF_CODE = new Map<number, Fault>([
	[8, 'read_only'],
	[14, 'cannot_open'],
	[26, 'not_database']
]);
const FAULT_OF_NAME: readonly (readonly [name: RegExp, fault: Fault])[] = [
	[/^SQLITE_READONLY/, 'read_only'],
	[/^SQLITE_CANTOPEN/, 'cannot_open'],
	[/^SQLITE_NOTADB/, 'not_database']
];

/** The messages at a table without a column, or without the primary key of a session table. */
const FOREIGN =
	/\bno such column\b|\bhas no column named\b|\bviews may not be indexed\b|\binvalid expression in CREATE INDEX\b|\bON CONFLICT clause does not match\b|\bNOT NULL constraint failed\b/;

const ACCESS =
	'the process must be able to read and write the file, and to make files beside it. Check the owner and the mode of both the file and its folder, and whether the disk is mounted read-only';

/**
 * The error that says what to do about a fault of a deployment, whatever driver reports it; any other error unchanged. Such a
 * statement did nothing.
 */
export function explained(error: unknown, table: string): unknown {
	const fault = faultOf(error);
	if (!fault) return error;
	return new StoreError('store_failed', messageOf(fault, table), {
		cause: redacted(error),
		refused: true
	});
}

function messageOf(fault: Fault, table: string): string {
	const ofOption = 'of the option `database`';
	switch (fault) {
		case 'read_only':
			return `the SQLite database ${ofOption} cannot be written: ${ACCESS}, or whether the app has opened it as read-only`;
		case 'cannot_open':
			return `the SQLite file ${ofOption} cannot be opened: ${ACCESS}`;
		case 'not_database':
			return `the file ${ofOption} is not an SQLite database, or it is encrypted: name another file. One that is missing is created`;
		case 'foreign_table':
			return `the table \`${table}\` is not a table of sessions: it has other columns, perhaps those of another library. Name another table by the option \`table\`; it is created`;
	}
}

function faultOf(error: unknown): Fault | undefined {
	if (!(error instanceof Error) || error instanceof StoreError) return undefined;
	const { errcode, code, message } = error as Error & { errcode?: unknown; code?: unknown };
	if (FOREIGN.test(message)) return 'foreign_table';
	if (typeof errcode === 'number') return FAULT_OF_CODE.get(errcode & 0xff);
	if (typeof code !== 'string') return undefined;
	return FAULT_OF_NAME.find(([name]) => name.test(code))?.[1];
}
