import type { Contents } from './contents.js';
import { Task } from './generated/vestiary.js';
import type { Scope } from './scope.js';
import type { Turn } from './turns.js';
import { computing, type Change } from './update.js';
import { outcomeOf, type Input, type Outcome } from './visit.js';

/** Runs the operations that may write a session, after the session's other writes in this process. */
export class Writer {
	readonly #scope: Scope;
	readonly #contents: Contents;

	constructor(scope: Scope, contents: Contents) {
		this.#scope = scope;
		this.#contents = contents;
	}

	/** Runs an operation. Undefined if it has ended without waiting. */
	act(task: Task, input?: Input): Promise<void> | undefined {
		return this.#inTurn((behind) => this.#scope.visit.act(task, flagged(input, behind)));
	}

	/** Runs an operation that writes the application's changes. */
	write(task: Task): Promise<void> | undefined {
		const changes = this.#contents.changes();
		return this.#inTurn((behind) => this.#written(task, changes, flagged(changes, behind)));
	}

	/** Writes what is left when the response is ready. */
	finish(changes: Input | undefined): Promise<void> | undefined {
		return this.#inTurn((behind) =>
			this.#written(Task.Finish, changes, flagged(changes, behind))
		);
	}

	/** Applies a function to the stored data. Returns whether it was written. */
	update(change: Change): Promise<boolean> {
		return this.#afterOthers(async (turn) => {
			const compute = computing(this.#scope, this.#contents, change, turn);
			const changes = this.#contents.changes();
			const input = flagged(changes.isAny ? changes : undefined, turn.behind);
			const { isStored } = await outcomeOf((ended) =>
				this.#written(Task.Update, { ...input, compute, ended })
			);
			return isStored;
		});
	}

	/** Runs an operation on something beside the data. */
	async beside(task: Task, input: Input): Promise<Outcome> {
		if (task === Task.Claim) return this.#claim(input);
		return outcomeOf((ended) => this.act(task, { ...input, ended }));
	}

	/** Claims a lease, after the application's changes are stored. */
	#claim(input: Input): Promise<Outcome> {
		return this.#afterOthers(async ({ behind }) => {
			const changes = this.#contents.changes();
			const first = changes.isAny ? changes : undefined;
			const texts = [...(first?.texts ?? []), ...(input.texts ?? [])];
			return outcomeOf((ended) =>
				this.#written(Task.Claim, first, {
					...flagged({ ...input, ...first }, behind),
					texts,
					ended
				})
			);
		});
	}

	/** Runs an operation that may write these changes. */
	#written(
		task: Task,
		changes: Input | undefined,
		input: Input | undefined = changes
	): Promise<void> | undefined {
		const { visit } = this.#scope;
		const unsent = this.#contents.send(changes);
		const failed = (error: unknown): never => {
			unsent();
			throw error;
		};
		try {
			return visit.act(task, input)?.catch(failed);
		} catch (error) {
			return failed(error);
		}
	}

	/** Runs a write in its turn. Undefined if it has ended without waiting. */
	#inTurn(run: (behind: number) => Promise<void> | undefined): Promise<void> | undefined {
		const { writes, records } = this.#scope.runtime;
		// A write on a table ends before another writer can begin.
		if (records.table && writes.isFree(this.#scope.visit.storedId)) return run(0);
		return this.#afterOthers(async ({ behind }) => run(behind));
	}

	#afterOthers<T>(run: (turn: Turn) => Promise<T>): Promise<T> {
		const { writes, records, patience } = this.#scope.runtime;
		return writes.after(this.#scope.visit.storedId, records.atomic, patience, run);
	}
}

/** The input of an operation with another flag, if there is one. */
function flagged(input: Input | undefined, flag: number): Input | undefined {
	return flag === 0 ? input : { ...input, flags: (input?.flags ?? 0) | flag };
}
