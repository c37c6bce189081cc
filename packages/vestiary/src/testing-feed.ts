import { feedOf } from './feed.js';
import { equal, sleep } from './testing-checks.js';
import type { AtomicOperations, Polling, Store } from './types.js';

/** A check of a store, with an ID of its own. */
export type FeedCheck = (
	title: string,
	run: (store: AtomicOperations, id: string) => Promise<void>
) => unknown;

/** Defines tests of the ways in which a store learns of changes by other processes. Stores without them pass. */
export function testFeed(check: FeedCheck, factory: () => Store | Promise<Store>): void {
	check('tells of each changed record, until it stops', async (store, id) => {
		const source = feedOf(store);
		if (!source) return;
		const name = await source.nameOf(id);
		if (name.includes(id)) throw new Error('the name of a record in the feed shows its key');
		const other = await another(store, id, factory);
		const first = new Heard();
		const stop = await source.watch(first);
		for (const change of changesOf(other, id)) {
			const before = first.count(name);
			await change();
			await until(() => first.count(name) > before, 'the feed has told nothing of a change');
		}
		stop();
		const stopped = first.count(name);
		// What comes after the end of the first one would have come before this.
		const second = new Heard();
		const stopSecond = await source.watch(second);
		for (const change of changesOf(other, id)) {
			const before = second.count(name);
			await change();
			await until(() => second.count(name) > before, 'the feed has not begun again');
		}
		stopSecond();
		equal(first.count(name), stopped);
	});

	check('finds changed records by their write IDs', async (store, id) => {
		const { polling } = store;
		if (!polling) return;
		const other = await another(store, id, factory);
		const ids = [`${id}-of-none`, id, `${id}é`];
		await other.create(`${id}é`, text('C'), 60_000, false);
		let last = await seen(polling, ids);
		for (const change of changesOf(other, id)) {
			await change();
			const next = await seen(polling, ids);
			if (next.written[1] === last.written[1])
				throw new Error('`writeIds` has not found a changed record');
			if (next.state !== undefined && next.state === last.state)
				throw new Error('`state` is the same after a change');
			equal([next.written[0], next.written[2]], [last.written[0], last.written[2]]);
			last = next;
		}
		equal(
			last.written.map((written) => written === null),
			[true, true, false]
		);
		const many = Array.from({ length: polling.most }, (_, n) => `${id}-${n}`);
		await other.create(`${id}-1`, text('A'), 60_000, false);
		equal([...(await polling.writeIds(many)).keys()], [`${id}-1`]);
		await other.remove(`${id}-1`, 'A'.repeat(16));
		await other.remove(`${id}é`, 'C'.repeat(16));
	});
}

/** A listener that counts what it hears. */
class Heard {
	readonly #names: string[] = [];

	readonly changed = (name: string): void => {
		this.#names.push(name);
	};

	readonly lost = (): void => undefined;

	count(name: string): number {
		return this.#names.filter((one) => one === name).length;
	}
}

/** Another store with the same records, or the same store if each has its own. */
async function another(
	store: AtomicOperations,
	id: string,
	factory: () => Store | Promise<Store>
): Promise<AtomicOperations> {
	const { atomic } = await factory();
	await store.create(id, text('A'), 60_000, false);
	const isShared = (await atomic?.read(id)) === text('A');
	await store.remove(id, 'A'.repeat(16));
	return isShared && atomic ? atomic : store;
}

/** Changes of one record: it is there only between them. */
function changesOf(store: AtomicOperations, id: string): (() => Promise<unknown>)[] {
	const done = async (outcome: Promise<unknown>): Promise<void> => {
		equal(await outcome, 'done');
	};
	const [A, B] = ['A', 'B'].map((letter) => letter.repeat(16));
	return [
		async () => {
			equal(await store.create(id, text('A'), 60_000, false), true);
			await done(store.replace(id, A ?? null, text('B'), 60_000));
		},
		async () => done(store.replace(id, B ?? null, text('A'), 60_000)),
		async () => done(store.remove(id, A ?? null))
	];
}

async function seen(
	polling: Polling,
	ids: string[]
): Promise<{ state: string | undefined; written: (string | null)[] }> {
	const state = await polling.state?.();
	const found = await polling.writeIds(ids);
	return { state, written: ids.map((id) => found.get(id) ?? null) };
}

function text(letter: string): string {
	return `{"v":"${letter.repeat(16)}","cookie":{},"data":{},"meta":{}}`;
}

/** Waits for a condition, for half a minute. */
async function until(isMet: () => boolean, otherwise: string): Promise<void> {
	const began = Date.now();
	while (!isMet()) {
		if (Date.now() - began > 30_000) throw new Error(otherwise);
		await sleep(10);
	}
}
