import { newContext } from './async-context.js';
import { StoreError, UpdateNestedError } from './errors.js';
import { Given } from './generated/vestiary.js';

/** A writer's turn at a session. */
export interface Turn {
	/** Resolves when the previous writers have ended; undefined if there are none. */
	readonly ready: Promise<void> | undefined;
	/**
	 * The flag `Behind` after a wait for another writer of an atomic store, otherwise 0: the record of this request is old,
	 * so a write that expects it would only conflict, and it is read first.
	 */
	readonly behind: number;
	/** Gives up the turn while code of the application runs. With a store that is not atomic, the turn is kept. */
	leave(): void;
	/** Takes the turn again. */
	back(): Promise<void>;
	/**
	 * Waits for other updates of the session that must start again, before this one does: slow functions would
	 * otherwise conflict each time. Undefined if there are none. The first update in the queue needs the turn to
	 * finish, so leave the turn before waiting.
	 */
	queue(): Promise<unknown> | undefined;
	end(): void;
}

/** A place in the queue of one session. */
interface Place {
	readonly ready: Promise<void> | undefined;
	end(): void;
}

/** A place that creates the promise of its end only if another one waits for it, which is rare. */
class Standing implements Place {
	readonly ready: Promise<void> | undefined;
	readonly #left: () => void;
	#isOver = false;
	#resolve: (() => void) | undefined;
	#over: Promise<void> | undefined;

	/** @param left Called when this place and all before it have ended */
	constructor(ready: Promise<void> | undefined, left: () => void) {
		this.ready = ready;
		this.#left = left;
	}

	/** Resolves when this place and all before it have ended. */
	get ended(): Promise<void> {
		this.#over ??= new Promise<void>((resolve) => {
			if (this.#isOver) resolve();
			else this.#resolve = resolve;
		});
		const over = this.#over;
		return this.ready ? this.ready.then(async () => over) : over;
	}

	end(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#resolve?.();
		if (this.ready) void this.ready.then(this.#left);
		else this.#left();
	}
}

/** How long a turn is kept while an async function of the application runs, in milliseconds. */
const PROMPT = 20;

/**
 * Lets the writers of a session in this process take turns, so that they do not conflict in the store.
 *
 * With an atomic store no writer waits for code of the application: its turn is given up while such code runs, and the
 * store detects concurrent writes. With any other store only the turn prevents a lost update, so it is kept; a writer
 * then waits for at most `patience` milliseconds, and fails.
 */
export class Turns {
	/** The last place in each queue. */
	readonly #last = new Map<string, Standing>();
	/** Sessions whose writer runs code of the application, and since when. */
	readonly #left = new Map<string, number>();
	/** The number of turns at sessions without an ID. */
	#new = 0;

	/** Whether no writer has a turn at the session of this ID, or waits for one. */
	isFree(id: string | undefined): boolean {
		return id === undefined || !this.#last.has(id);
	}

	/** Takes a turn at the session of this ID. A session without an ID is known to no other writer. */
	take(id: string | undefined, atomic: boolean, patience: number): Turn {
		const key = id ?? `new ${++this.#new}`;
		let place = this.#stand(key);
		let again: Place | undefined;
		return {
			ready: place.ready && this.#wait(key, place.ready, patience),
			behind: atomic && place.ready ? Given.Behind : 0,
			leave: () => {
				if (atomic) place.end();
				else this.#left.set(key, performance.now());
			},
			back: async () => {
				this.#left.delete(key);
				if (!atomic) return;
				place = this.#stand(key);
				if (place.ready) await this.#wait(key, place.ready, patience);
			},
			queue: () => {
				if (again) return undefined;
				again = this.#stand(`${key} again`);
				return again.ready && endsWithin(again.ready, patience);
			},
			end: () => {
				place.end();
				again?.end();
			}
		};
	}

	/** Runs a write in its turn. */
	async after<T>(
		id: string | undefined,
		atomic: boolean,
		patience: number,
		run: (turn: Turn) => Promise<T>
	): Promise<T> {
		const turn = this.take(id, atomic, patience);
		try {
			if (turn.ready) await turn.ready;
			return await run(turn);
		} finally {
			turn.end();
		}
	}

	#stand(line: string): Place {
		const last = this.#last.get(line);
		const ready = last?.ended;
		const mine = new Standing(ready, () => {
			if (this.#last.get(line) === mine) this.#last.delete(line);
		});
		this.#last.set(line, mine);
		return mine;
	}

	/** Waits for the previous turns, but at most `patience` for code of the application in one of them. */
	async #wait(key: string, before: Promise<void>, patience: number): Promise<void> {
		for (;;) {
			const since = this.#left.get(key);
			const left = since === undefined ? patience : since + patience - performance.now();
			if (await endsWithin(before, Math.max(left, 0))) return;
			if (since !== undefined && this.#left.get(key) === since) {
				throw new StoreError(
					'store_timeout',
					`an update of the session in this process did not end within ${patience} ms: its function takes too long`
				);
			}
		}
	}
}

/** Whether the application's function ends so soon that its turn is kept. */
export async function isPrompt(running: Promise<unknown>): Promise<boolean> {
	return endsWithin(running, PROMPT);
}

async function endsWithin(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<false>((resolve) => {
		timer = setTimeout(() => {
			resolve(false);
		}, milliseconds);
	});
	const ended = (): true => true;
	try {
		return await Promise.race([promise.then(ended, ended), late]);
	} finally {
		clearTimeout(timer);
	}
}

/** A running update, as seen from inside its function. */
interface Update {
	/** The request that runs the update, by identity. */
	readonly request: object;
	readonly id: string | undefined;
	over: boolean;
	readonly around: Update | undefined;
}

/** The update around the running code, on platforms with `AsyncLocalStorage`. */
const context = newContext<Update>();

/** Whether {@link nestedIn} can detect operations inside an update's function. */
export const knowsNested: boolean = context !== undefined;

/** Runs the function of an update of a request. */
export function runUpdate<T>(
	request: object,
	id: string | undefined,
	run: () => T | Promise<T>
): T | Promise<T> {
	if (!context) return run();
	const update: Update = { request, id, over: false, around: context.getStore() };
	const end = (): void => {
		update.over = true;
	};
	const result = context.run(update, run);
	if (result instanceof Promise) void result.then(end, end);
	else end();
	return result;
}

/**
 * The error for an operation on the same session inside an update's function, also by `event.fetch`. It would write
 * between the read and the write of the update, which would then retry again and again.
 */
export function nestedIn(request: object, id: string | undefined): UpdateNestedError | undefined {
	for (let update = context?.getStore(); update; update = update.around)
		if (!update.over && (update.request === request || (id !== undefined && update.id === id)))
			return new UpdateNestedError();
	return undefined;
}
