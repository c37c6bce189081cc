/** Many requests without a cookie, in a process of its own: memory must not grow. */
import { parseArgs } from 'node:util';

import { loadKit } from '../kit.ts';
import { handleOf, vestiary } from '../peers/vestiary.ts';
import { dataOf } from '../peers/peer.ts';

const { values } = parseArgs({
	options: {
		requests: { type: 'string', default: '' },
		build: { type: 'string', default: '' }
	}
});
const requests = Number(values.requests);
const kit = await loadKit(values.build);
const store = vestiary(kit).store();
const handle = handleOf(
	{ secrets: ['a secret of 32 characters, or so.'], data: dataOf(64) },
	store
);
const { event, page } = kit.request(undefined);
const resolve = (): Response => page;
const tenth = requests / 10;
const bytes: number[] = [];
for (let part = 0; part < 10; part++) {
	for (let n = 0; n < tenth; n++)
		await handle({ event: { ...event, locals: {} } as typeof event, resolve });
	globalThis.gc?.();
	globalThis.gc?.();
	bytes.push(process.memoryUsage().heapUsed);
}
console.log(JSON.stringify(bytes));
