import { Session, type SessionData, type SveltekitSessionConfig } from '../src/index.js';
import { testEvent, type CountingStore, type TestEvent } from './event.js';

export const SECRET = '0123456789abcdef0123456789abcdef';

/** The data of the sessions in these tests. */
export interface Data extends SessionData {
	user?: string;
	n?: number;
}

/** Opens sessions in a store that counts, with the options that the test has by then. */
export interface CountedVisits {
	/** The session of a new visitor with this data, and the `Cookie` header that its browser sends. */
	saved: (
		data: Data,
		withOptions?: SveltekitSessionConfig
	) => Promise<{ id: string; cookie: string }>;
	opened: (cookie?: string) => Promise<TestEvent & { session: Session }>;
}

export function countedVisits(
	now: () => { store: CountingStore; options: SveltekitSessionConfig }
): CountedVisits {
	return {
		saved: async (data, withOptions = now().options) => {
			const { event, cookies } = testEvent();
			const session = await Session.initialize(event, withOptions);
			await session.setData(data);
			await session.save();
			const id = session.id;
			now().store.calls.length = 0;
			return {
				id,
				cookie: `${session.cookieName}=${encodeURIComponent(cookies.at(-1)?.value ?? '')}`
			};
		},
		opened: async (cookie) => {
			const made = testEvent(cookie);
			return { ...made, session: await Session.initialize(made.event, now().options) };
		}
	};
}
