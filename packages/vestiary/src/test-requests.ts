import type { RequestEvent } from '@sveltejs/kit';

/** The header by which a test asks a test server for something, and by which the server says that it has done so. */
export const TEST_REQUEST = 'x-vestiary-test';

/** A request of a test, as JSON in the header. */
export type TestRequest =
	| { readonly kind: 'login'; readonly user: string; readonly data?: object }
	| {
			readonly kind: 'clock';
			/** The number of seconds to move the clock. Absent: back to the real time. */
			readonly ahead?: number;
	  };

/** The part of `vestiary/testing/server` that a handle uses. */
export interface TestServer {
	/** The function that answers this request in place of the application, if a test sent it. */
	answerTo(event: RequestEvent, slot: string): (() => Promise<Response>) | undefined;
	/**
	 * The secret that signs in place of the application's, so that no other server accepts the cookies of this one.
	 * Records are encrypted with the application's secret all the same.
	 */
	secretOf(secret: string): string;
}

/** The module's place in `globalThis`, where all copies of this package in a process find it. */
export const TEST_SERVER: unique symbol = Symbol.for('vestiary.testing.server');

export const global = globalThis as { [TEST_SERVER]?: TestServer };
