import { IncomingMessage, ServerResponse, type RequestListener } from 'node:http';
import { Socket } from 'node:net';

import session from 'express-session';

import {
	MAX_AGE,
	type App,
	type Data,
	type Exchange,
	type Peer,
	type Wait,
	type Work
} from './peer.ts';

declare module 'express-session' {
	// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merging is how it is typed
	interface SessionData extends Partial<Data> {}
}

export type Middleware = (
	request: IncomingMessage,
	response: ServerResponse,
	next: (error?: unknown) => void
) => void;

export const expressSession: Peer<session.Store> = {
	name: 'express-session',
	package: 'express-session',
	base: 'node',
	keeps: true,
	store: (wait) => {
		const store = new session.MemoryStore();
		return wait ? waiting(store, wait) : store;
	},
	app: ({ secrets, data, rolling }, store) => {
		const middleware = session({
			secret: secrets,
			store,
			resave: false,
			saveUninitialized: false,
			rolling: rolling ?? false,
			...(rolling && { cookie: { maxAge: MAX_AGE * 1_000 } })
		}) as unknown as Middleware;
		return new NodeApp(middleware, data);
	}
};

/** An app of `node:http` with this middleware. */
export class NodeApp implements App {
	readonly #middleware: Middleware;
	readonly #data: Data;

	constructor(middleware: Middleware, data: Data) {
		this.#middleware = middleware;
		this.#data = data;
	}

	exchange(cookie: string | undefined, work: Work): Exchange {
		return new NodeExchange(this.#middleware, this.#data, cookie, work);
	}
}

type Sessions = Pick<Parameters<RequestListener>[0], never> & {
	session: session.Session & Partial<session.SessionData>;
};

class NodeExchange implements Exchange {
	readonly cookie: string | undefined;
	seen: Partial<Data> | undefined;
	readonly #middleware: Middleware;
	readonly #data: Data;
	readonly #work: Work;
	readonly #request: IncomingMessage;
	readonly #response: Response;

	constructor(middleware: Middleware, data: Data, cookie: string | undefined, work: Work) {
		this.cookie = cookie;
		this.#middleware = middleware;
		this.#data = data;
		this.#work = work;
		this.#request = new IncomingMessage(SOCKET);
		this.#request.method = 'GET';
		this.#request.url = '/account';
		this.#request.headers = cookie === undefined ? {} : { cookie };
		this.#response = new Response(this.#request);
		this.#response.setHeader('content-type', 'text/plain');
	}

	run(): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#response.sent = resolve;
			this.#middleware(this.#request, this.#response, (error) => {
				if (error !== undefined)
					reject(new Error('the middleware has failed', { cause: error }));
				else this.#endpoint(reject);
			});
		});
	}

	setCookies(): string[] {
		const header = this.#response.getHeader('set-cookie');
		return Array.isArray(header) ? header : header === undefined ? [] : [`${header}`];
	}

	/** Changes to the session are stored when the response ends. */
	#endpoint(failed: (error: unknown) => void): void {
		const request = this.#request as unknown as Sessions;
		if (this.#work === 'login') {
			request.session.regenerate((error: unknown) => {
				if (error) failed(error);
				Object.assign(request.session, this.#data);
				this.#end(request);
			});
			return;
		}
		if (this.#work === 'save') {
			const { visits = 0 } = request.session;
			Object.assign(request.session, this.#data, { visits: visits + 1 });
		}
		this.#end(request);
	}

	#end(request: Sessions): void {
		if (this.#work !== 'nothing') this.seen = request.session;
		this.#response.end('ok');
	}
}

/** A response that reports when it is completely written; it has no connection. */
class Response extends ServerResponse {
	sent: () => void = () => undefined;

	override end(...args: unknown[]): this {
		super.end(...(args as [string]));
		this.sent();
		return this;
	}
}

const SOCKET = new Socket();

/** A store whose calls wait before they start. */
function waiting(store: session.MemoryStore, wait: Wait): session.Store {
	for (const name of ['get', 'set', 'touch', 'destroy'] as const) {
		const call = store[name].bind(store) as (...args: unknown[]) => void;
		Object.assign(store, {
			[name]: (...args: unknown[]) =>
				void wait().then(() => {
					call(...args);
				})
		});
	}
	return store;
}
