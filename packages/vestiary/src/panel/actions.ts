import type { RequestEvent } from '@sveltejs/kit';

import type { Scope } from '../scope.js';
import type { Session } from '../session.js';

/** The buttons of the panel. */
export const ACTIONS = ['expire', 'log-out', 'conflict', 'steal'] as const;

export type ActionName = (typeof ACTIONS)[number];

/** The answer to a button: a sentence, and a page to open. */
export interface ActionAnswer {
	readonly text: string;
	readonly open?: string;
}

/** A session that a request has left. It never leaves the server. */
interface Held {
	readonly scope: Scope;
	readonly id: string;
}

/** A cookie that waits for the second browser. */
interface Ticket {
	readonly header: string;
	readonly until: number;
}

/** The host of the second browser. Browsers take it for this machine, and keep its cookies apart. */
export const SECOND_HOST = 'second-browser.localhost';

/** How long a ticket for the second browser counts, in milliseconds. */
const TICKET_LASTS = 60_000;

/** Acts on the sessions that the panel shows. */
export class Actions {
	readonly #held = new Map<number, Held>();
	/** The sessions whose next request meets another write, by their names for logs. */
	readonly #conflicts = new Set<string>();
	readonly #tickets = new Map<string, Ticket>();

	/** Keeps the session of a request, by its number in the log. */
	hold(n: number, scope: Scope): void {
		const id = scope.visit.storedId;
		if (id !== undefined) this.#held.set(n, { scope, id });
	}

	/** Forgets the session of a request. */
	drop(n: number): void {
		this.#held.delete(n);
	}

	/** Presses a button for the session of a request. Undefined if it is no longer there. */
	async press(n: number, action: ActionName, origin: URL): Promise<ActionAnswer | undefined> {
		const held = this.#held.get(n);
		if (!held) return undefined;
		if (action === 'steal') return this.#steal(held, origin);
		const session = await opened(held);
		if (session.isNew) return { text: 'The session has ended already.' };
		switch (action) {
			case 'expire':
				session.cookie = { ...session.cookie, maxAge: 1 };
				await session.save();
				return { text: 'The session expires in a second. Load a page of your app then.' };
			case 'log-out':
				await session.destroy();
				return {
					text: 'The session has ended. The browser learns of it with its next page.'
				};
			case 'conflict':
				this.#conflicts.add(session.logId ?? '');
				return {
					text: 'The next request of this session meets another write, which sets `devPanel` in its data.'
				};
		}
	}

	/** Writes the session that a request has opened, if the button was pressed for it. Undefined otherwise. */
	conflict(scope: Scope): Promise<void> | undefined {
		const { logId, storedId: id } = scope.visit;
		if (id === undefined || !this.#conflicts.delete(logId ?? '')) return undefined;
		return opened({ scope, id })
			.then(async (session) => {
				await session.update((data) => ({ ...data, devPanel: Date.now() }));
			})
			.catch(() => {
				// A schema may refuse the member, and the application goes on without a conflict.
			});
	}

	#steal({ scope, id }: Held, { protocol, port }: URL): ActionAnswer {
		const { core, cookie } = scope.runtime;
		const attributes = `Path=${cookie.path}; HttpOnly; SameSite=Lax`;
		const secure = core.name.startsWith('__') ? '; Secure' : '';
		const header = `${pairOf(scope, id)}; ${attributes}${secure}`;
		const ticket = crypto.randomUUID();
		this.#tickets.set(ticket, { header, until: Date.now() + TICKET_LASTS });
		const host = `${SECOND_HOST}${port === '' ? '' : `:${port}`}`;
		return {
			text: 'The cookie is in another browser now: a new tab, whose host has cookies of its own.',
			open: `${protocol}//${host}/__vestiary/take/${ticket}`
		};
	}

	/** The `Set-Cookie` header of a ticket, once. */
	redeem(ticket: string): string | undefined {
		const found = this.#tickets.get(ticket);
		this.#tickets.delete(ticket);
		return found && found.until > Date.now() ? found.header : undefined;
	}
}

/** The cookie of a session, as a browser sends it. */
function pairOf({ runtime }: Scope, id: string): string {
	const { core, cookie } = runtime;
	const encode = cookie.encode ?? encodeURIComponent;
	return `${core.name}=${encode(core.sign(id))}`;
}

/** Opens a session as another request does. */
async function opened({ scope, id }: Held): Promise<Session> {
	const { event, runtime, session } = scope;
	const headers = new Headers({ cookie: pairOf(scope, id) });
	const cookies = {
		...event.cookies,
		set: (_name: string) => undefined,
		delete: () => undefined
	};
	const another = Object.create(event, {
		request: { value: { headers } },
		cookies: { value: cookies },
		locals: { value: {} }
	}) as RequestEvent;
	// The class of the application's module graph, which is another one than that of the panel.
	const sessionClass = session?.constructor as typeof Session;
	return sessionClass.initialize(another, runtime.options);
}
