import { Client } from '@planetscale/database';
import { Types } from 'mysql2';
import type { Pool, ResultSetHeader } from 'mysql2/promise';

/**
 * PlanetScale's own client, whose requests over HTTP are answered by a MariaDB of the tests, in the form of
 * PlanetScale's server.
 */
export function planetScaleOf(pool: Pool): Client {
	return new Client({
		host: 'aws.connect.psdb.example',
		username: 'app',
		password: 'secret',
		fetch: async (_, request) => {
			const { query } = JSON.parse(request?.body ?? '') as { query: string };
			const answer = await answered(pool, query);
			return Response.json({ session: { signature: '', vitessSession: {} }, ...answer });
		}
	});
}

async function answered(pool: Pool, sql: string): Promise<object> {
	try {
		// Each value as the bytes in which the server sends it.
		const typeCast = (field: { buffer: () => Buffer | null }): Buffer | null => field.buffer();
		const [rows, fields] = await pool.query({ sql, rowsAsArray: true, typeCast });
		if (!Array.isArray(rows)) {
			const { affectedRows } = rows as ResultSetHeader;
			return { result: { rowsAffected: `${affectedRows}` } };
		}
		return {
			result: {
				fields: fields.map(({ name, columnType = 0, characterSet }) => ({
					name,
					type: TYPES.get(columnType) ?? 'VARCHAR',
					charset: characterSet
				})),
				rows: (rows as unknown as (Buffer | null)[][]).map((row) => ({
					lengths: row.map((value) => `${value?.length ?? -1}`),
					values: Buffer.concat(row.map((value) => value ?? Buffer.of())).toString(
						'base64'
					)
				}))
			}
		};
	} catch (error) {
		const { errno, sqlState, sqlMessage } = error as {
			errno?: number;
			sqlState?: string;
			sqlMessage?: string;
		};
		const message = `target: app.-.primary: vttablet: rpc error: code = Unknown desc = ${sqlMessage ?? ''} (errno ${errno ?? 1_105}) (sqlstate ${sqlState ?? 'HY000'}) (CallerID: app): Sql: "${sql}", BindVars: {}`;
		return { error: { code: 'UNKNOWN', message } };
	}
}

/** The types of columns, by their numbers in the protocol of MySQL. */
const TYPES = new Map([
	[Types.LONGLONG, 'INT64'],
	[Types.BLOB, 'BLOB']
]);
