/** The parts of `process` that tell of a stop. Not every platform has them. */
interface Process {
	listenerCount?(signal: string): number;
	on?(signal: string, listener: () => void): unknown;
	off?(signal: string, listener: () => void): unknown;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** The ends of the streams that are open. */
const ends = new Set<() => void>();

/** The signals to which this module listens. */
const heard = new Set<string>();

/**
 * Ends a stream when a signal asks the process to stop. A server such as that of adapter-node waits for its open responses then,
 * and a stream without an end would hold the process up until the server's limit, of half a minute.
 * @returns Call it when the stream is over
 */
export function endAtStop(end: () => void): () => void {
	ends.add(end);
	listen();
	return () => {
		ends.delete(end);
		if (ends.size === 0) leave();
	};
}

function listen(): void {
	const { process } = globalThis as { process?: Process };
	for (const signal of SIGNALS) {
		// A first listener would switch off the end of the process by the signal itself.
		if (heard.has(signal) || !process?.on || !process.listenerCount?.(signal)) continue;
		process.on(signal, endAll);
		heard.add(signal);
	}
}

function leave(): void {
	const { process } = globalThis as { process?: Process };
	for (const signal of heard) process?.off?.(signal, endAll);
	heard.clear();
}

function endAll(): void {
	const ending = [...ends];
	ends.clear();
	leave();
	for (const end of ending) end();
}
