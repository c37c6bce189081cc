import type { RequestEvent } from '@sveltejs/kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
	MemoryStore,
	ResponseSentError,
	Session,
	sessions,
	StoreError,
	sveltekitSessionHandle,
	type AtomicOperations,
	type SessionData,
	type Store,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

const SECRET = '0123456789abcdef0123456789abcdef';

interface Data extends SessionData {
	n?: number;
	user?: string;
}

/** A store whose writes wait for a gate, and may fail then. */
class GatedStore implements Store {
	readonly memory = new MemoryStore();
	readonly atomic: AtomicOperations;
	gate: Promise<void> = Promise.resolve();
	failure: Error | undefined;

	constructor() {
		const inner = this.memory.atomic;
		if (!inner) throw new Error('a memory store is atomic');
		const write = async <T>(run: () => Promise<T>): Promise<T> => {
			await this.gate;
			if (this.failure) throw this.failure;
			return run();
		};
		this.atomic = {
			resends: false,
			read: async (id) => inner.read(id),
			create: async (...args) => write(async () => inner.create(...args)),
			replace: async (...args) => write(async () => inner.replace(...args)),
			touch: async (...args) => write(async () => inner.touch(...args)),
			remove: async (...args) => write(async () => inner.remove(...args))
		};
	}

	get = async (id: string): ReturnType<Store['get']> => this.memory.get(id);
	set = async (): Promise<void> => undefined;
	destroy = async (): Promise<void> => undefined;
	touch = async (): Promise<void> => undefined;
}

let store: GatedStore;
let options: SveltekitSessionConfig;
let events: string[];
/** Opens the gate of the store. */
let open: () => void;

beforeEach(() => {
	store = new GatedStore();
	events = [];
	options = { secret: SECRET, store, onEvent: ({ type }) => events.push(type) };
	open = () => undefined;
});

/** From now on, the store's writes wait for {@link open}. */
function close(): void {
	store.gate = new Promise((resolve) => {
		open = resolve;
	});
}

interface Answer {
	response: Response;
	event: RequestEvent;
	/** The cookie that the response sets, if any: empty if it removes it. */
	cookie: string | undefined;
}

async function run(
	app: (session: Session & { data: Data }, event: RequestEvent) => unknown,
	cookie?: string
): Promise<Answer> {
	const { event } = testEvent(cookie);
	const response = await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			await app(event.locals.session, event);
			return new Response('ok');
		}
	});
	return {
		response,
		event,
		cookie: response.headers
			.getSetCookie()
			.at(-1)
			?.split(';')[0]
			?.replace(/^connect\.sid=$/, '')
	};
}

async function visitor(data: Data): Promise<string> {
	const { cookie } = await run(async (session) => {
		await session.setData(data);
		await session.save();
	});
	events.length = 0;
	return cookie ?? '';
}

/** Lets everything run that waits for nothing but promises. */
async function turn(): Promise<void> {
	await new Promise((resolve) => setImmediate(resolve));
}

/** Checks that a response does not leave before the gate opens: the application is ready before the store. */
async function waits(answer: Promise<unknown>): Promise<void> {
	let left = false;
	const leaves = (): void => {
		left = true;
	};
	answer.then(leaves, leaves);
	await turn();
	expect(left).toBe(false);
}

/** The data that a later request with this cookie sees. */
async function dataOf(cookie: string | undefined): Promise<Data | undefined> {
	const { event } = testEvent(cookie);
	const session = await Session.initialize(event, options);
	return session.isNew ? undefined : session.data;
}

describe('an operation that the application does not await', () => {
	test.each<[string, (session: Session) => unknown, Data | undefined]>([
		[
			'save',
			(session) => {
				void session.setData({ n: 1 });
				void session.save();
			},
			{ n: 1 }
		],
		['update', (session) => void session.update(() => ({ n: 2 })), { n: 2 }],
		['login', (session) => void session.login('ada', { data: { n: 3 } }), { n: 3 }],
		[
			'regenerate, and what follows it',
			(session) => {
				void (async () => {
					const next = await session.regenerate();
					await next.setData({ n: 4 });
					await next.save();
				})();
			},
			{ n: 4 }
		]
	])('is finished before the response leaves: %s', async (_, does, data) => {
		for (const cookie of [undefined, await visitor({ user: 'ada' })]) {
			close();
			const answer = run((session) => {
				does(session);
			}, cookie);
			await waits(answer);
			open();
			expect(await dataOf((await answer).cookie)).toEqual(data);
		}
	});

	test('is finished before the response leaves: destroy', async () => {
		const cookie = await visitor({ user: 'ada' });
		close();
		const answer = run((session) => {
			void session.destroy();
		}, cookie);
		await waits(answer);
		open();
		expect((await answer).cookie).toBe('');
		expect(await dataOf(cookie)).toBeUndefined();
	});

	test('even if a redirect was thrown', async () => {
		const { event, cookies } = testEvent();
		close();
		const thrown = { status: 303, location: '/' };
		const request = sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				void event.locals.session.save();
				// eslint-disable-next-line @typescript-eslint/only-throw-error -- as SvelteKit's redirect is
				throw thrown;
			}
		});
		await waits(request);
		open();
		await expect(request).rejects.toBe(thrown);
		expect(cookies).toHaveLength(1);
		expect(store.memory.size).toBe(1);
	});

	test('fails the request if it fails, as if it had been awaited', async () => {
		store.failure = new Error('down');
		const request = run((session) => void session.save());
		await expect(request).rejects.toMatchObject({ code: 'store_failed' });
	});

	test('fails the request even if it failed before the application was ready', async () => {
		const request = run(async (session) => {
			await session.setData({ n: 1n });
			void session.save();
			await turn();
		});
		await expect(request).rejects.toMatchObject({ code: 'json' });
	});

	test('is the application’s own affair if the application handles its failure', async () => {
		store.failure = new Error('down');
		let caught: unknown;
		const { response } = await run((session) => {
			session.save().catch((error: unknown) => (caught = error));
		});
		expect(response.status).toBe(200);
		expect(caught).toBeInstanceOf(StoreError);
	});
});

describe('when the response has left', () => {
	const unhandled = vi.fn();

	beforeEach(() => {
		unhandled.mockClear();
		process.on('unhandledRejection', unhandled);
	});

	afterEach(() => {
		process.off('unhandledRejection', unhandled);
	});

	test.each<[string, (session: Session) => Promise<unknown>]>([
		['save', async (session) => session.save()],
		['update', async (session) => session.update(() => ({ n: 1 }))],
		['login', async (session) => session.login('ada')],
		['regenerate', async (session) => session.regenerate()]
	])('a new session: %s is refused, and leaves nothing', async (_, does) => {
		const { event } = await run(() => undefined);
		await expect(does(event.locals.session)).rejects.toBeInstanceOf(ResponseSentError);
		expect(store.memory.size).toBe(0);
		expect(event.locals.session.data).toEqual({});
	});

	test('an operation that needs another cookie is refused, and the visitor’s session stays', async () => {
		const cookie = await visitor({ n: 1 });
		const { event } = await run(() => undefined, cookie);
		const { session } = event.locals;
		for (const late of [session.regenerate(), session.login('ada'), session.renew()])
			await expect(late).rejects.toBeInstanceOf(ResponseSentError);
		expect(await dataOf(cookie)).toEqual({ n: 1 });
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});

	test('a failure that is not awaited is an event, and does not end the process', async () => {
		const { event } = await run(() => undefined);
		void event.locals.session.save();
		await turn();
		expect(events).toEqual(['failed']);
		expect(unhandled).not.toHaveBeenCalled();
	});

	test('while the store works without a handle, the record does not stay', async () => {
		const { event, close: closeJar } = testEvent();
		const session = await Session.initialize(event, options);
		close();
		const saving = session.save();
		closeJar();
		open();
		await expect(saving).rejects.toBeInstanceOf(ResponseSentError);
		expect(store.memory.size).toBe(0);
		close();
		const second = testEvent();
		const login = (await Session.initialize(second.event, options)).login('ada');
		second.close();
		open();
		await expect(login).rejects.toBeInstanceOf(ResponseSentError);
		expect(await sessions(options).of('ada').list()).toEqual([]);
	});
});

describe('several operations at once', () => {
	type Step = [string, (session: Session) => Promise<unknown>];
	const STEPS: Step[] = [
		['save', async (session) => session.save()],
		['setData', async (session) => session.setData({ n: 7 })],
		['update', async (session) => session.update(() => ({ n: 2 }))],
		['login', async (session) => session.login('ada', { data: { n: 3 } })],
		['regenerate', async (session) => session.regenerate()],
		['destroy', async (session) => session.destroy()],
		['renew', async (session) => session.renew()]
	];
	const PAIRS = STEPS.flatMap(([one, first]) =>
		STEPS.map(([other, second]) => ({ pair: `${one} and ${other}`, first, second }))
	);

	async function outcome(
		does: (session: Session) => Promise<unknown>,
		stored: boolean
	): Promise<{ data: Data | undefined; cookie: boolean; records: number; devices: number }> {
		store = new GatedStore();
		options = { ...options, store };
		const before = stored ? await visitor({ n: 1 }) : undefined;
		const { cookie } = await run(does, before);
		const now = cookie ?? before;
		return {
			data: await dataOf(now),
			cookie: Boolean(cookie),
			records: store.memory.size,
			devices: (await sessions(options).of('ada').list()).length
		};
	}

	test.each(PAIRS)('are in the order of the calls: $pair', async ({ first, second }) => {
		for (const stored of [false, true]) {
			const apart = await outcome(async (session) => {
				await first(session);
				await second(session);
			}, stored);
			const together = await outcome(
				async (session) => Promise.all([first(session), second(session)]),
				stored
			);
			expect(together).toEqual(apart);
			// No cookie without a record.
			if (together.cookie) expect(together.data).toBeDefined();
		}
	});
});

describe('a redirect of a later hook, and autoSave that fails', () => {
	const thrown = { status: 303, location: '/next' };

	async function redirected(): Promise<unknown> {
		const cookie = await visitor({ n: 1 });
		options = { ...options, autoSave: true };
		store.failure = new Error('down');
		const { event } = testEvent(cookie);
		return sveltekitSessionHandle(options)({
			event,
			resolve: async () => {
				await event.locals.session.setData({ n: 2 });
				// eslint-disable-next-line @typescript-eslint/only-throw-error -- as SvelteKit's redirect is
				throw thrown;
			}
		}).catch((error: unknown) => error);
	}

	test('is replaced by the error, since it would promise what was not stored', async () => {
		expect(await redirected()).toBeInstanceOf(StoreError);
	});

	test('stays where the application goes on without the store', async () => {
		options.onStoreError = 'anonymous';
		expect(await redirected()).toBe(thrown);
		expect(events).toEqual(['store_failed']);
	});
});
