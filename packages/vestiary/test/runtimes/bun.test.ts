import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { startPostgres, type PostgresServer } from '../stores/postgres-server.js';
import { installOthers } from './others.js';
import { installPackages } from './packages.js';
import { run } from './run.js';

const FOLDER = new URL('../../../../target/runtimes/bun', import.meta.url).pathname;

let postgres: PostgresServer;
let files: string;

beforeAll(async () => {
	postgres = await startPostgres();
	files = await mkdtemp(join(tmpdir(), 'vestiary-bun-'));
	await installPackages({}, FOLDER);
	await cp(new URL('hosts/bun-stores.js', import.meta.url).pathname, join(FOLDER, 'stores.js'));
});

afterAll(async () => {
	await postgres.stop();
	await rm(files, { recursive: true, force: true });
});

test('bun:sqlite and Bun.sql pass the conformance suites in Bun', async () => {
	const output = await run(join(await installOthers(), 'bun'), ['stores.js'], FOLDER, {
		POSTGRES_URL: postgres.url,
		SQLITE_FILE: join(files, 'sessions.db')
	});
	const ended = JSON.parse(output) as Record<string, { passed: number; failed: string[] }>;
	expect(Object.keys(ended)).toEqual(['bun:sqlite', 'Bun.sql']);
	for (const { passed, failed } of Object.values(ended)) {
		expect(failed).toEqual([]);
		expect(passed).toBeGreaterThan(25);
	}
});
