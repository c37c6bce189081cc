import {
	MemoryStore,
	Session,
	type AtomicOperations,
	type MemoryStoreOptions,
	type SessionData,
	type SessionStoreData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent, type CookieCall } from './event.js';

export const SECRET = '0123456789abcdef0123456789abcdef';

/** The data of the sessions in these tests. */
export interface Data extends SessionData {
	user?: string;
	n?: number;
	cart?: string[];
	theme?: string;
}

export type Operation = Exclude<keyof AtomicOperations, 'resends'>;

/** A memory store that records its calls, and injects faults. */
export class WatchedStore implements Store {
	readonly calls: Operation[] = [];
	/** Called before an operation. If it throws, the store throws the same, and nothing is done. */
	before: ((operation: Operation) => unknown) | undefined;
	/** Runs after an operation: its answer is lost if this throws. */
	after: ((operation: Operation) => unknown) | undefined;
	/** The maximum TTL of records. */
	ttl: number | undefined;
	/** Whether the client may send a write again by itself. */
	resends = false;
	readonly memory: MemoryStore;
	readonly atomic: AtomicOperations;

	constructor(options?: MemoryStoreOptions) {
		this.memory = new MemoryStore(options);
		const inner = this.memory.atomic;
		if (!inner) throw new Error('a memory store is atomic');
		const watched = async <T>(operation: Operation, run: () => Promise<T>): Promise<T> => {
			this.calls.push(operation);
			await this.before?.(operation);
			const answer = await run();
			await this.after?.(operation);
			return answer;
		};
		const life = (ttl: number): number => this.ttl ?? ttl;
		this.atomic = {
			read: async (id) => watched('read', async () => inner.read(id)),
			create: async (id, text, ttl, owned) =>
				watched('create', async () => inner.create(id, text, life(ttl), owned)),
			replace: async (id, writeId, text, ttl) =>
				watched('replace', async () => inner.replace(id, writeId, text, life(ttl))),
			touch: async (id, ttl) => watched('touch', async () => inner.touch(id, life(ttl))),
			remove: async (id, writeId) => watched('remove', async () => inner.remove(id, writeId))
		};
		Object.defineProperty(this.atomic, 'resends', {
			enumerable: true,
			get: () => this.resends
		});
	}

	get size(): number {
		return this.memory.size;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		return this.memory.get(id);
	}

	async set(): Promise<void> {
		throw new Error('an atomic store is not asked to set');
	}

	async destroy(): Promise<void> {
		throw new Error('an atomic store is not asked to destroy');
	}

	async touch(): Promise<void> {
		throw new Error('an atomic store is asked to touch atomically');
	}
}

/** A store with the options of a handle on it, and the events that the handle emits. */
export interface Watched {
	store: WatchedStore;
	options: SveltekitSessionConfig;
	events: string[];
}

export function watched(): Watched {
	const store = new WatchedStore();
	const events: string[] = [];
	return {
		store,
		events,
		options: { secret: SECRET, store, onEvent: ({ type }) => events.push(type) }
	};
}

/** A request whose session is open. */
export interface Opened {
	session: Session & { data: Data };
	cookies: CookieCall[];
	/** The `Cookie` header that the browser sends after this request. */
	cookie: () => string;
	locals: { session: Session & { data: Data } };
}

/** Opens sessions with the options that the test has by then. */
export interface Visits {
	opened: (cookie?: string, withOptions?: SveltekitSessionConfig) => Promise<Opened>;
	/** A visitor whose session holds this. */
	visitor: (data: Data, withOptions?: SveltekitSessionConfig) => Promise<string>;
	dataOf: (cookie: string, withOptions?: SveltekitSessionConfig) => Promise<Data | undefined>;
}

export function visits(now: () => Watched): Visits {
	const opened: Visits['opened'] = async (cookie, withOptions = now().options) => {
		const { event, cookies } = testEvent(cookie);
		const session = await Session.initialize(event, withOptions);
		event.locals.session = session;
		return {
			session,
			cookies,
			locals: event.locals,
			cookie: () => {
				const last = cookies.at(-1);
				if (!last) return cookie ?? '';
				return last.method === 'set'
					? `${last.name}=${encodeURIComponent(last.value ?? '')}`
					: '';
			}
		};
	};
	return {
		opened,
		visitor: async (data, withOptions) => {
			const { session, cookie } = await opened(undefined, withOptions);
			await session.setData(data);
			await session.save();
			const { store, events } = now();
			store.calls.length = 0;
			events.length = 0;
			return cookie();
		},
		dataOf: async (cookie, withOptions) => {
			const { session } = await opened(cookie, withOptions);
			return session.isNew ? undefined : session.data;
		}
	};
}
