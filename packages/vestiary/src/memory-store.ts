import { orThrow } from './errors.js';
import { Answer, MemoryTable, Step } from './generated/vestiary.js';
import { checkCommon, checkNumber, checkObject } from './stores/check.js';
import { parsed } from './stores/options.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	Serializer,
	SessionStoreData,
	Store
} from './types.js';

/** The options of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
	/** Put before every ID. Default: `''`. */
	prefix?: string | undefined;
	/** Default: `JSON`. */
	serializer?: Serializer | undefined;
	/** Life in milliseconds of a record whose cookie has neither `maxAge` nor `expires`. Default: a day. */
	ttl?: number | undefined;
	/**
	 * Most records to hold; another one is refused with a `StoreError`, unless it is of a user
	 * (`session.login()`): for that one anonymous ones are evicted. Default: 100,000.
	 */
	maxEntries?: number | undefined;
	/**
	 * Most bytes to hold; a write that would exceed them is refused with a `StoreError`, unless it is of a user,
	 * as above. Default: 64 MiB.
	 */
	maxBytes?: number | undefined;
}

/** Set by the class, which alone can read its private fields. */
let tableIn: (store: Store) => MemoryTable | undefined;

/**
 * The table of a store, if it is a memory store that has one, and is asked for records by its own functions: not by
 * others that a test or an application has put in their place.
 * @internal
 */
export function tableOf(store: Store): MemoryTable | undefined {
	return tableIn(store);
}

/**
 * Keeps sessions in the memory of this process: for development and tests, or a single process
 * whose restart may log everybody out. Expired records are freed, and its size is bounded.
 */
export class MemoryStore implements Store {
	readonly atomic: AtomicOperations | undefined;
	/** Its own functions; none if it is not atomic. */
	readonly #own: { readonly name: keyof AtomicOperations; readonly own: unknown }[] | undefined;
	readonly #limits: ConstructorParameters<typeof MemoryTable>;
	#made: MemoryTable | undefined;
	readonly #serializer: Serializer;

	constructor(options: MemoryStoreOptions = {}) {
		checkObject('MemoryStore', options, '`new MemoryStore({ maxEntries })`');
		checkCommon('MemoryStore', options, ['maxEntries', 'maxBytes']);
		const { maxEntries, maxBytes, ttl } = options;
		checkNumber('maxEntries', maxEntries, {
			unit: 'records',
			least: 1,
			whole: true,
			unlimited: true
		});
		checkNumber('maxBytes', maxBytes, {
			unit: 'bytes',
			least: 1,
			whole: true,
			unlimited: true
		});
		this.#serializer = options.serializer ?? JSON;
		this.#limits = [options.prefix ?? '', limitOf(maxEntries), limitOf(maxBytes), ttl];
		// A serializer may put the mark where it is not found.
		this.atomic = this.#serializer === JSON ? this.#operations() : undefined;
		this.#own =
			this.atomic &&
			Object.entries(this.atomic).map(([name, own]) => ({
				name: name as keyof AtomicOperations,
				own: own as unknown
			}));
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = this.#made?.get(id, Date.now());
		return text === undefined ? null : parsed(this.#serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const text = this.#serializer.stringify(storeData);
		orThrow(() => {
			this.#table.set(id, text, ttl, Date.now());
		});
	}

	async destroy(id: string): Promise<void> {
		this.#made?.remove(id);
	}

	async touch(id: string, ttl: number): Promise<void> {
		this.#made?.touch(id, ttl, Date.now());
	}

	static {
		tableIn = (store) => {
			if (!(#own in store) || !store.#own) return undefined;
			const { atomic } = store;
			if (!atomic) return undefined;
			for (const one of store.#own) if (atomic[one.name] !== one.own) return undefined;
			return store.#made;
		};
	}

	/** Made when something is stored: not every runtime frees what lies in linear memory by itself. */
	get #table(): MemoryTable {
		this.#made ??= new MemoryTable(...this.#limits);
		return this.#made;
	}

	/** Number of sessions alive. */
	get size(): number {
		return this.#made?.len(Date.now()) ?? 0;
	}

	#operations(): AtomicOperations {
		return {
			resends: false,
			ttl: this.#limits[3] ?? undefined,
			read: async (id) => this.#made?.get(id, Date.now()) ?? null,
			readTwo: async (one, other) => {
				const now = Date.now();
				const read = (id: string): string | null => this.#made?.get(id, now) ?? null;
				return [read(one), read(other)];
			},
			create: async (id, text, ttl, owned) =>
				write(this.#table, Step.Create, id, null, text, ttl, owned) === 'done',
			replace: async (id, mark, text, ttl) =>
				write(this.#made, Step.Replace, id, mark, text, ttl),
			touchCompares: true,
			touch: async (id, ttl, mark) =>
				mark === undefined
					? (this.#made?.touch(id, ttl, Date.now()) ?? false)
					: write(this.#made, Step.Touch, id, mark, '', ttl),
			remove: async (id, mark) => write(this.#made, Step.Remove, id, mark)
		};
	}
}

/** As many as there can be: linear memory has no more than 4 GiB. */
const UNLIMITED = 2 ** 32 - 1;

function limitOf(number: number | undefined): number | undefined {
	return number === undefined ? undefined : Math.min(number, UNLIMITED);
}

/** Writes the record with this write ID. No table is one in which nothing was ever stored. */
function write(
	table: MemoryTable | undefined,
	step: Step,
	id: string,
	mark: string | null,
	text = '',
	ttl = 0,
	owned = false
): AtomicOutcome {
	const answer = orThrow(() => table?.write(step, id, mark ?? '', text, ttl, owned, Date.now()));
	if (answer === Answer.Done) return 'done';
	return answer === Answer.Conflict ? 'conflict' : 'gone';
}
