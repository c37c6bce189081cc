import { afterAll, beforeAll, expect, test } from 'vitest';

import { startRedis, type Servers } from './servers.js';
import { MOMENTS, run } from './tokens-run.ts';

/* The code of docs/how-to/refresh-tokens.md in three processes with one Redis, at a provider that rotates refresh tokens,
   and revokes all of a login if one is used twice. Fifty requests find their token expired. In every second expiry, the
   process that refreshes it is killed. `node tokens-report.ts` runs more of them. */

const GRACE = 600_000;

let redis: Servers;

beforeAll(async () => {
	redis = await startRedis();
});

afterAll(async () => {
	await redis.stop();
});

test('each expiry has one grant, also if the process that refreshes dies before the provider answers', async () => {
	const report = await run({
		port: redis.ports[0] ?? 0,
		expiries: 10,
		moments: ['before'],
		grace: 0
	});
	expect(report).toEqual({
		expiries: 10,
		requests: 500,
		kills: 5,
		grants: 10,
		refused: 0,
		revoked: 0,
		excess: 0,
		wrong: 0,
		errors: []
	});
}, 120_000);

test('each expiry has one grant, and one for a crash at any moment if the provider has a grace period', async () => {
	const { grants, ...report } = await run({
		port: redis.ports[0] ?? 0,
		expiries: 12,
		moments: MOMENTS,
		grace: GRACE
	});
	expect(report).toEqual({
		expiries: 12,
		requests: 600,
		kills: 6,
		refused: 0,
		revoked: 0,
		excess: 0,
		wrong: 0,
		errors: []
	});
	// Two of the processes have died before the provider heard of them.
	expect(grants).toBeGreaterThanOrEqual(12);
	expect(grants).toBeLessThanOrEqual(12 + 4);
}, 120_000);

test('without a grace period, a crash after the grant loses the tokens, and the visitor logs in again', async () => {
	const { refused, revoked, wrong, errors } = await run({
		port: redis.ports[0] ?? 0,
		expiries: 2,
		moments: ['granted'],
		grace: 0
	});
	expect({ refused, revoked, wrong, errors }).toEqual({
		refused: 1,
		revoked: 1,
		wrong: 1,
		errors: []
	});
}, 120_000);
