/** Advice for an operator on an error of a store's client, by the code of the error, or the name of its class. */
const CURES: readonly [RegExp, string][] = [
	[/^ECONNREFUSED$/, 'no server listens at its address: start it, or correct the address'],
	[/^(?:ENOTFOUND|EAI_AGAIN)$/, 'its host is not known: correct the address'],
	[
		/^(?:ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|CONNECT_TIMEOUT|UND_ERR_CONNECT_TIMEOUT)$/,
		'its host does not answer: check the address, and whether a firewall is between'
	],
	[
		/^ClientClosedError$/,
		'its client is not connected: call `connect()` before the first request'
	],
	[/^ERR_INVALID_URL$/, 'its address is no URL: set or correct it'],
	[
		/^(?:28P01|28000|ER_ACCESS_DENIED_ERROR|ER_ACCESS_DENIED_NO_PASSWORD_ERROR|NOAUTH|WRONGPASS)$/,
		'the user or the password is wrong: correct the address of the server'
	],
	[
		/^(?:3D000|ER_BAD_DB_ERROR)$/,
		'its database does not exist: create it, or correct its name in the address'
	],
	[
		/^42704$/,
		'its address probably has a parameter that the server does not know, such as `schema` of Prisma: leave it out'
	],
	[
		/^(?:42501|ER_DBACCESS_DENIED_ERROR|ER_TABLEACCESS_DENIED_ERROR|NOPERM)$/,
		'its user lacks rights: grant them to read and write the table of the sessions, or its keys'
	],
	[
		/^(?:25006|READONLY|SQLITE_READONLY|ER_OPTION_PREVENTS_STATEMENT|ER_READ_ONLY_MODE)$/,
		'it is read-only: connect to the primary, or make the database writable'
	]
];

/** The most causes that are looked at. */
const DEEPEST = 4;

/** Advice on an error of a client, by its code or its class, or those of a cause. Empty if nothing is known about it. */
export function cureOf(error: unknown): string {
	const names: string[] = [];
	for (let one = error, depth = 0; one !== undefined && depth < DEEPEST; depth++) {
		const { name, code, cause, errors } = (one ?? {}) as Record<
			'name' | 'code' | 'cause' | 'errors',
			unknown
		>;
		if (typeof name === 'string') names.push(name);
		if (typeof code === 'string') names.push(code);
		one = cause ?? (Array.isArray(errors) ? (errors as unknown[])[0] : undefined);
	}
	for (const one of names.reverse()) {
		const cure = CURES.find(([known]) => known.test(one))?.[1];
		if (cure !== undefined) return cure;
	}
	return '';
}
