const NAME = String.raw`(?:[\w.[\]]|\\?["\`])+`;
const ALIAS = String.raw`(?:\s+(?:as\s+)?(?!inner\b|join\b|on\b|where\b)(\w+))?`;
const PLACEHOLDER = String.raw`\?|\$\d+|[:@$]\w+|\$\{[^}]*\}`;

/** `SELECT … FROM a JOIN b ON x = y WHERE z = ?`, in parts. */
const JOINED = new RegExp(
	[
		String.raw`^\s*select\s+([^]+?)`,
		String.raw`\s+from\s+(${NAME})${ALIAS}`,
		String.raw`\s+(?:inner\s+)?join\s+(${NAME})${ALIAS}`,
		String.raw`\s+on\s+\(?\s*(${NAME})\s*=\s*(${NAME})\s*\)?`,
		String.raw`\s+where\s+(${NAME})\s*=\s*(${PLACEHOLDER})(\s+limit\s+1)?\s*;?\s*$`
	].join(''),
	'i'
);

/** A table of a query, with the name that its columns have. */
interface Table {
	readonly text: string;
	readonly name: string;
}

/**
 * The query for a user by their ID, from one that has joined the user with a session by the session's ID. It has the same
 * columns in the same order, with null in those of the session. Undefined if the query is another one.
 */
export function userSelect(sql: string, parameter?: string): string | undefined {
	const [
		,
		columns = '',
		from = '',
		fromAlias,
		join = '',
		joinAlias,
		left = '',
		right = '',
		where = '',
		placeholder = '',
		limit = ''
	] = JOINED.exec(sql) ?? [];
	if (from === '') return undefined;
	const tables = [table(from, fromAlias), table(join, joinAlias)];
	const session = tables.find(({ name }) => name === ownerOf(where));
	const user = tables.find((one) => one !== session);
	const key = [left, right].find((column) => ownerOf(column) === user?.name);
	const reference = [left, right].find((column) => ownerOf(column) === session?.name);
	if (!session || !user || key === undefined || reference === undefined) return undefined;
	const given =
		placeholder.startsWith('${') && parameter !== undefined ? `\${${parameter}}` : placeholder;
	// The session has the user's ID, too.
	const selected = columns.replace(
		new RegExp(`(?<![\\w.])${escaped(reference)}(?![\\w])(\\s+as\\b)?`, 'gi'),
		(_, as?: string) => (as === undefined ? `${key} AS ${bare(reference)}` : `${key}${as}`)
	);
	return `SELECT ${selected} FROM ${user.text} LEFT JOIN ${session.text} ON 1 = 0 WHERE ${key} = ${given}${limit}`;
}

/** Whether a query takes all columns of a table, so that their names are not known. */
export function selectsAll(sql: string): boolean {
	return (JOINED.exec(sql)?.[1] ?? '').includes('*');
}

function table(text: string, alias: string | undefined): Table {
	if (alias !== undefined) return { text: `${text} ${alias}`, name: alias };
	return { text, name: bare(text) };
}

/** The table that a column names. */
function ownerOf(column: string): string | undefined {
	const parts = column.split('.');
	return parts.length < 2 ? undefined : unquoted(parts.at(-2) ?? '');
}

function bare(name: string): string {
	return unquoted(name.split('.').at(-1) ?? '');
}

function unquoted(name: string): string {
	return name.replace(/[\\"`[\]]/g, '');
}

function escaped(text: string): string {
	return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
