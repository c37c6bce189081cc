import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DatabaseSync } from 'node:sqlite';

/** A value, as libSQL's protocol Hrana 2 has it. */
type Value =
	| { type: 'null' }
	| { type: 'integer'; value: string }
	| { type: 'float'; value: number }
	| { type: 'text'; value: string };

/** A request of a pipeline: a statement, or the end of the stream. */
type Request = { type: 'execute'; stmt: { sql: string; args?: Value[] } } | { type: 'close' };

/** A stand-in for a server of libSQL, such as Turso's, which no package registry has: Hrana 2 over HTTP. */
export interface LibsqlServer {
	readonly url: string;
	stop(): Promise<void>;
}

export async function startLibsql(): Promise<LibsqlServer> {
	const database = new DatabaseSync(':memory:');
	const server = createServer((request, response) => {
		void (async () => {
			// The client asks whether there is a newer version.
			if (request.url !== '/v2/pipeline') {
				response.writeHead(404).end();
				return;
			}
			const { requests } = (await body(request)) as { requests: Request[] };
			const results = requests.map((one) => answer(database, one));
			response.setHeader('content-type', 'application/json');
			response.end(JSON.stringify({ baton: null, base_url: null, results }));
		})();
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		stop: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
			database.close();
		}
	};
}

function answer(database: DatabaseSync, request: Request): object {
	if (request.type === 'close') return { type: 'ok', response: { type: 'close' } };
	try {
		return { type: 'ok', response: { type: 'execute', result: ran(database, request.stmt) } };
	} catch (error) {
		const { message } = error as Error;
		return { type: 'error', error: { message, code: 'SQLITE_ERROR' } };
	}
}

function ran(database: DatabaseSync, { sql, args = [] }: { sql: string; args?: Value[] }): object {
	const statement = database.prepare(sql);
	const values = args.map(plain);
	const names = statement.columns().map(({ name }) => ({ name, decltype: null }));
	if (names.length === 0) {
		const affected = Number(statement.run(...values).changes);
		return { cols: [], rows: [], affected_row_count: affected, last_insert_rowid: null };
	}
	const rows = statement.all(...values).map((row) => Object.values(row).map(encoded));
	return { cols: names, rows, affected_row_count: 0, last_insert_rowid: null };
}

function plain(value: Value): string | number | null {
	if (value.type === 'null') return null;
	return value.type === 'integer' ? Number(value.value) : value.value;
}

function encoded(value: unknown): Value {
	if (typeof value === 'string') return { type: 'text', value };
	if (typeof value === 'number') return { type: 'integer', value: String(value) };
	return { type: 'null' };
}

async function body(request: IncomingMessage): Promise<unknown> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
}
