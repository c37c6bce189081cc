/** The parts of a run, and what a scenario prepares for it. */
import type { Chance } from './chance.ts';
import type { Setup } from './messages.ts';
import type { Workers } from './workers.ts';

/** How many processes the application has. */
export const WORKERS = 3;

export interface Scenario {
	name: string;
	/** The fault in the store, or in the processes, in a sentence. */
	faults: string;
	/** Whether nothing may go wrong here: an atomic store with one primary. */
	strict: boolean;
	/** Whether the workers use the store's atomic operations. */
	atomic: boolean;
	begin: () => Promise<Stage>;
}

/** A store that runs. */
export interface Stage {
	setups: Setup[];
	/** Causes faults until the signal says stop, and leaves everything healthy. */
	disturb: (run: Disturbed) => Promise<void>;
	/** Faults of the store itself, once all processes have ended. */
	check?: () => string | undefined;
	end: () => Promise<void>;
}

/** The target of the faults. */
export interface Disturbed {
	workers: Workers;
	chance: Chance;
	/** Whether it is time to stop. */
	over: () => boolean;
	/** Writes down that there was a fault. */
	fault: (kind: string) => void;
}
