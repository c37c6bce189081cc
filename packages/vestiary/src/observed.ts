/** Sees the requests of the handles of this process: the dev panel of `vestiary/vite`. */
export interface Observer {
	/** Called when `skip` leaves a request without a session. */
	skipped(event: object): void;
	/** Called with the scope of a request before its session is opened. */
	begin(scope: object): Observation;
	/** Called with each hint, even with one that was printed before. */
	hint(text: string): void;
}

/** Sees one request. */
export interface Observation {
	/** Called when the session is open. The request waits for the promise, if there is one. */
	opened(): Promise<void> | undefined;
	/** Called instead of both others if the session could not be opened. */
	unopened(error: unknown): void;
	/** Called with the response, or without one if the application has thrown. */
	ended(response: Response | undefined): void;
}

/** The name under which the dev panel is found. It is in another module graph than the application. */
export const OBSERVER: unique symbol = Symbol.for('vestiary.observer');

/** The dev panel, if `vite dev` has one. Call it in development only. */
export function observer(): Observer | undefined {
	return (globalThis as { [OBSERVER]?: Observer })[OBSERVER];
}
