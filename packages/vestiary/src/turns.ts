import { newContext } from './async-context.js';
import { StoreError, UpdateNestedError } from './errors.js';

/** A writer's turn at a session. */
export interface Turn {
	/** Resolves when the writers before have ended; undefined if there are none. */
	readonly ready: Promise<void> | undefined;
	/** Gives the turn up while code of the application runs. With a store that is not atomic it is kept. */
	leave(): void;
	/** Takes it again. */
	back(): Promise<void>;
	/**
	 * Waits for other updates of the session that have to begin again, too, before this one does: functions that
	 * take long would conflict with each other each time. Undefined if there is none. The update in front needs the
	 * turn to end, so whoever waits has to leave it.
	 */
	queue(): Promise<unknown> | undefined;
	end(): void;
}

/** A place in a line. */
interface Place {
	readonly ready: Promise<void> | undefined;
	end(): void;
}

/** A place, which makes a promise of its end only for one behind it: mostly there is none. */
class Standing implements Place {
	readonly ready: Promise<void> | undefined;
	readonly #left: () => void;
	#isOver = false;
	#resolve: (() => void) | undefined;
	#over: Promise<void> | undefined;

	/** @param left Called when it has ended, and all before it have */
	constructor(ready: Promise<void> | undefined, left: () => void) {
		this.ready = ready;
		this.#left = left;
	}

	/** Resolves when it has ended, and all before it have. */
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

/** Milliseconds for which a turn is kept while an async function of the application runs. */
const PROMPT = 20;

/**
 * Lets the writers of a session in this process take turns, so that they do not conflict in the store.
 *
 * No writer waits for code of the application. With an atomic store a turn is given up while such code runs: the
 * store finds out that another request has written meanwhile. With another store only the turn prevents a lost
 * update, so it is kept; then a writer waits for `patience` milliseconds at most, and fails.
 */
export class Turns {
	/** The last one in each line. */
	readonly #last = new Map<string, Standing>();
	/** Sessions whose writer is in code of the application, and since when. */
	readonly #left = new Map<string, number>();
	/** Turns at sessions without an ID. */
	#new = 0;

	/** Whether no writer has a turn at the session of this ID, or waits for one. */
	isFree(id: string | undefined): boolean {
		return id === undefined || !this.#last.has(id);
	}

	/** A turn at the session of this ID. No other writer knows a session that has none yet. */
	take(id: string | undefined, atomic: boolean, patience: number): Turn {
		const key = id ?? `new ${++this.#new}`;
		let place = this.#stand(key);
		let again: Place | undefined;
		return {
			ready: place.ready && this.#wait(key, place.ready, patience),
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

	#stand(line: string): Place {
		const last = this.#last.get(line);
		const ready = last?.ended;
		const mine = new Standing(ready, () => {
			if (this.#last.get(line) === mine) this.#last.delete(line);
		});
		this.#last.set(line, mine);
		return mine;
	}

	/** Waits for the turns before, and `patience` at most for code of the application in one of them. */
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

/** Whether the application's function ends so soon that a turn is kept for it. */
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

/** An update whose function runs, as seen from inside of it. */
interface Update {
	/** The request that runs it, by identity. */
	readonly request: object;
	readonly id: string | undefined;
	over: boolean;
	readonly around: Update | undefined;
}

/** The update around the code that runs, where the platform can tell (`AsyncLocalStorage`). */
const context = newContext<Update>();

/** Whether {@link refuseNested} knows what is called by the function of an update. */
export const knowsNested: boolean = context !== undefined;

/** Runs the function of an update that a request makes. */
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
 * The error for what an update's function does to the same session, also by `event.fetch`: it would be written
 * between the read and the write of the update, which would then begin again and again.
 */
export function nestedIn(request: object, id: string | undefined): UpdateNestedError | undefined {
	for (let update = context?.getStore(); update; update = update.around)
		if (!update.over && (update.request === request || (id !== undefined && update.id === id)))
			return new UpdateNestedError();
	return undefined;
}
