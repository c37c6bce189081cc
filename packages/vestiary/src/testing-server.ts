import type { RequestEvent } from '@sveltejs/kit';

import { building } from './environment.js';
import { moveClock } from './test-clock.js';
import {
	global,
	TEST_REQUEST,
	TEST_SERVER,
	type TestRequest,
	type TestServer
} from './test-requests.js';
import { isLocalAddress } from './this-machine.js';

/*
 * Makes a server a test server, when Node.js or Bun loads it before the application: tests may then log visitors in and
 * move the clock. No application imports this module, so none of it exists in production.
 */

/** The part of a session that a test server uses: it may be of another copy of this package. */
interface TestedSession {
	login(user: string, options?: { data: object }): Promise<void>;
}

const server: TestServer = {
	answerTo(event, slot) {
		const given = event.request.headers.get(TEST_REQUEST);
		if (given === null) return undefined;
		return async () => {
			const refused = (text: string): Response =>
				new Response(text, { status: 403, headers: { [TEST_REQUEST]: 'refused' } });
			if (!isLocal(event)) return refused('only a test on the same machine may ask for this');
			const asked = JSON.parse(decodeURIComponent(given)) as TestRequest;
			if (asked.kind === 'clock') moveClock(asked.ahead);
			else {
				const session = (event.locals as unknown as Record<string, unknown>)[slot];
				if (typeof session !== 'object')
					return refused('`skip` leaves this request without a session');
				try {
					await (session as TestedSession).login(
						asked.user,
						asked.data && { data: asked.data }
					);
				} catch (error) {
					return refused(error instanceof Error ? error.message : 'the login has failed');
				}
			}
			return new Response(null, { status: 204, headers: { [TEST_REQUEST]: 'done' } });
		};
	},
	// A short secret stays as it is, so that it is still found too short: in production, all are refused.
	secretOf: (secret) => (secret.length < 32 ? secret : `${secret}, of a test server`)
};

/** Whether the request comes from this machine, and through no proxy. */
function isLocal(event: RequestEvent): boolean {
	if (event.request.headers.has('x-forwarded-for')) return false;
	return isLocalAddress(event.getClientAddress());
}

if (process.env.NODE_ENV !== 'production') global[TEST_SERVER] = server;
// A part of a build, which `NODE_OPTIONS` reaches, too, serves no visitor.
else if (!building)
	throw new Error(
		'vestiary/testing/server lets tests log visitors in: it must not be loaded with NODE_ENV=production'
	);
