/** `node tokens-report.ts [expiries]`: many expiries of tokens, as in tokens.test.ts, and what came of them. */
import { startRedis } from './servers.ts';
import { MOMENTS, run } from './tokens-run.ts';

const expiries = Number(process.argv[2] ?? 1_000);
const redis = await startRedis();
const began = performance.now();
for (const [moments, grace] of [
	[['before'], 0],
	[MOMENTS, 600_000]
] as const) {
	const report = await run({ port: redis.ports[0] ?? 0, expiries, moments, grace });
	console.log({ moments: moments.join(', '), grace, ...report });
}
console.log(`${Math.round((performance.now() - began) / 1_000)} s`);
await redis.stop();
