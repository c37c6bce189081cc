// The conformance suites in Bun, on its own clients of SQLite and Postgres. Prints how each test ended.
import { Database } from 'bun:sqlite';
import { SQL } from 'bun';
import { PostgresStore } from 'vestiary/postgres';
import { SqliteStore } from 'vestiary/sqlite';
import { testAtomicStore, testStore } from 'vestiary/testing';

const tests = [];
const runner = { describe: (_, define) => define(), test: (name, run) => tests.push([name, run]) };

const database = new Database(process.env.SQLITE_FILE);
const client = new SQL(process.env.POSTGRES_URL);
await new PostgresStore({ client }).migrate();

const ended = {};
for (const [name, store] of [
	['bun:sqlite', () => new SqliteStore({ database })],
	['Bun.sql', () => new PostgresStore({ client })]
]) {
	tests.length = 0;
	testStore(name, store, { runner });
	testAtomicStore(name, store, { runner });
	ended[name] = { passed: 0, failed: [] };
	for (const [title, run] of tests) {
		try {
			await run();
			ended[name].passed++;
		} catch (error) {
			ended[name].failed.push(`${title}: ${error.stack}`);
		}
	}
}
await client.close();
console.log(JSON.stringify(ended));
