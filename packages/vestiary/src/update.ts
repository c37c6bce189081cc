import type { Contents } from './contents.js';
import type { Compute } from './driver.js';
import type { Scope } from './scope.js';
import { isPrompt, knowsNested, runUpdate, type Turn } from './turns.js';
import type { RegisteredData } from './registered.js';

/** The application's function of an update. */
export type Change = (
	data: RegisteredData
) => RegisteredData | undefined | Promise<RegisteredData | undefined>;

/** Runs the application's function as often as the core requires, within the turn of the update. */
export function computing(scope: Scope, contents: Contents, change: Change, turn: Turn): Compute {
	let runs = 0;
	return async (text) => {
		if (++runs > 1) await queued(scope, turn);
		const { data, base } = contents.read(text);
		const running = runUpdate(scope, scope.visit.storedId, () => change(data));
		const made = running instanceof Promise ? await outside(scope, running, turn) : running;
		return { base, mine: contents.checked(made ?? data, base, text) };
	};
}

/** Waits for the session's other updates that must also start again. Meanwhile, other operations and requests may run. */
async function queued({ operations }: Scope, turn: Turn): Promise<void> {
	const before = turn.queue();
	if (!before) return;
	// Gives up the turn and the place among the operations together: with only one of them, the next operation would wait
	// for the turn, and this one for the operation.
	turn.leave();
	try {
		await operations.outside(async () => before);
	} finally {
		await turn.back();
	}
}

/** Waits for code of the application. Meanwhile, other operations and requests may run. */
async function outside<T>(scope: Scope, running: Promise<T>, turn: Turn): Promise<T> {
	const { operations, runtime, visit } = scope;
	if (await isPrompt(running)) return running;
	turn.leave();
	try {
		// They must wait if the store is not atomic: an operation of this request would fail. They must also wait if the
		// session is not stored yet: each would begin its own.
		const isCompared = runtime.records.atomic && visit.storedId !== undefined;
		const waits = !isCompared && knowsNested;
		return await (waits ? running : operations.outside(async () => running));
	} finally {
		await turn.back();
	}
}
