import { ACTIONS, SECOND_HOST, type ActionName } from './panel/actions.js';
import { Log } from './panel/log.js';
import { pageOf } from './panel/page.js';
import { OBSERVER, type Observer } from './observed.js';
import { ImportGuard, type ResolveContext, type ResolveOptions } from './refused-import.js';
import { isLocalAddress, isLocalHost } from './this-machine.js';

/** Options of the Vite plugin. */
export interface VestiaryPluginOptions {
	/** Whether `vite dev` has the dev panel at `/__vestiary`. Default: true. */
	panel?: boolean | undefined;
}

/** A request to Vite's server. */
interface Incoming {
	readonly url?: string | undefined;
	readonly method?: string | undefined;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly socket: {
		readonly remoteAddress?: string | undefined;
		readonly encrypted?: boolean | undefined;
	};
}

/** Its response. */
interface Outgoing {
	statusCode: number;
	setHeader(name: string, value: string): unknown;
	end(text?: string): unknown;
}

/** The part of Vite's development server that the plugin needs. */
export interface DevServer {
	readonly middlewares: {
		use(middleware: (request: Incoming, response: Outgoing, next: () => void) => void): unknown;
	};
	/** The addresses of the server, once it listens. */
	readonly resolvedUrls?: { readonly local: readonly string[] } | null | undefined;
	readonly config?: { readonly logger: { info(text: string): void } } | undefined;
	/** Prints the addresses. */
	printUrls?(): void;
}

/** The part of Vite DevTools that the plugin needs. */
export interface DevTools {
	readonly docks: {
		register(dock: {
			readonly id: string;
			readonly title: string;
			readonly icon: string;
			readonly type: 'iframe';
			readonly url: string;
		}): unknown;
	};
}

/** The Vite plugin. */
export interface VestiaryPlugin {
	readonly name: string;
	readonly apply: 'serve';
	/** Refuses imports of `vestiary` in code for the browser, before Vite resolves them. */
	readonly resolveId: {
		readonly order: 'pre';
		handler(
			this: ResolveContext,
			source: string,
			importer: string | undefined,
			options: ResolveOptions
		): void;
	};
	/** Loads the pages again after such an import was removed. */
	handleHotUpdate(change: {
		readonly file: string;
		readonly server: { readonly ws: { send(message: { type: 'full-reload' }): void } };
	}): void;
	configureServer(server: DevServer): void;
	/** Adds the panel to Vite DevTools, where they are there. */
	readonly devtools?: { setup(tools: DevTools): void };
}

/**
 * Adds the dev panel to `vite dev`: the page `/__vestiary` shows for each request which session it had, or why it had none.
 * An import of `vestiary` in code for the browser is refused there as in a build, with the name of the file. A build is the
 * same without the plugin.
 *
 * ```ts
 * // vite.config.ts
 * import { sveltekit } from '@sveltejs/kit/vite';
 * import { vestiary } from 'vestiary/vite';
 *
 * export default { plugins: [vestiary(), sveltekit()] };
 * ```
 */
export function vestiary({ panel = true }: VestiaryPluginOptions = {}): VestiaryPlugin {
	const guard = new ImportGuard();
	return {
		name: 'vestiary',
		apply: 'serve',
		resolveId: {
			order: 'pre',
			handler(source, importer, options) {
				guard.check(this, source, importer, options);
			}
		},
		handleHotUpdate({ file, server }) {
			if (guard.needsReload(file)) server.ws.send({ type: 'full-reload' });
		},
		configureServer(server) {
			if (!panel) return;
			const site = new Panel();
			(globalThis as { [OBSERVER]?: Observer })[OBSERVER] = site.log;
			printAddress(server);
			server.middlewares.use((request, response, next) => {
				const [path = ''] = (request.url ?? '').split('?', 1);
				if (path === PATH || path.startsWith(`${PATH}/`))
					site.answer(path, request, response);
				else next();
			});
		},
		...(panel && { devtools: { setup: ({ docks }) => docks.register(DOCK) } })
	};
}

/** The path of the panel. */
const PATH = '/__vestiary';

const ICON =
	"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%235b8def' stroke-width='2'><path d='M4 7h16v3a2 2 0 0 0 0 4v3H4v-3a2 2 0 0 0 0-4z'/><path d='M14 7v10' stroke-dasharray='2 2'/></svg>";

/** The panel in Vite DevTools. */
const DOCK = {
	id: 'vestiary',
	title: 'Vestiary',
	icon: `data:image/svg+xml,${ICON}`,
	type: 'iframe',
	url: PATH
} as const;

/** Adds the address of the panel to those that Vite prints when it has started. */
function printAddress(server: DevServer): void {
	const print = server.printUrls?.bind(server);
	if (!print) return;
	server.printUrls = () => {
		print();
		const [local] = server.resolvedUrls?.local ?? [];
		if (local !== undefined)
			server.config?.logger.info(`  ➜  Vestiary: ${new URL(PATH, local).href}`);
	};
}

/** The status, the type and the text of an answer. */
type Answer = readonly [status: number, type: string, text: string];

/** The pages of the panel. */
class Panel {
	readonly log: Log = new Log();
	/** The panel's script sends it with a button. No other page can read it. */
	readonly #token: string = crypto.randomUUID();

	answer(path: string, request: Incoming, response: Outgoing): void {
		const headers: Record<string, string> = {
			'cache-control': 'no-store',
			'x-content-type-options': 'nosniff',
			// Vite DevTools show the panel in a frame of the same origin.
			'x-frame-options': 'SAMEORIGIN',
			'referrer-policy': 'no-referrer',
			'cross-origin-resource-policy': 'same-origin',
			'cross-origin-opener-policy': 'same-origin'
		};
		const send = ([status, type, text]: Answer): void => {
			response.statusCode = status;
			for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
			response.setHeader('content-type', `${type}; charset=utf-8`);
			response.end(text);
		};
		const answer = this.#answer(path, request, headers);
		if (answer instanceof Promise) void answer.then(send);
		else send(answer);
	}

	#answer(
		path: string,
		request: Incoming,
		headers: Record<string, string>
	): Answer | Promise<Answer> {
		const refusal = refusalOf(request);
		if (path.startsWith(TAKE)) return this.#take(path.slice(TAKE.length), request, headers);
		if (refusal !== undefined) return [403, 'text/plain', refusal];
		if (path === `${PATH}/act`) return this.#act(request);
		if (request.method !== 'GET') return [405, 'text/plain', 'Only GET'];
		if (path === `${PATH}/log`)
			return [200, 'application/json', JSON.stringify(this.log.entries)];
		if (path !== PATH) return [404, 'text/plain', 'Not found'];
		const nonce = crypto.randomUUID();
		headers['content-security-policy'] =
			`default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`;
		return [200, 'text/html', pageOf(nonce, this.#token)];
	}

	/** Presses a button: `POST /__vestiary/act?n=7&do=expire`. */
	async #act(request: Incoming): Promise<Answer> {
		if (request.method !== 'POST') return [405, 'text/plain', 'Only POST'];
		if (request.headers['x-vestiary-token'] !== this.#token)
			return [403, 'text/plain', 'The dev panel is not for pages of other sites'];
		const origin = originOf(request);
		const { searchParams } = new URL(request.url ?? '', origin);
		const action = ACTIONS.find((one): one is ActionName => one === searchParams.get('do'));
		if (!action) return [404, 'text/plain', 'Not found'];
		try {
			const n = Number(searchParams.get('n'));
			const answer = await this.log.actions.press(n, action, origin);
			if (!answer) return [410, 'text/plain', 'The request is not in the list any more'];
			return [200, 'application/json', JSON.stringify(answer)];
		} catch (error) {
			return [500, 'text/plain', `The session cannot be written: ${nameOf(error)}`];
		}
	}

	/** Sets the cookie of a ticket in the second browser, once. The ticket is the only proof: the tab has no other. */
	#take(ticket: string, request: Incoming, headers: Record<string, string>): Answer {
		const isHere =
			originOf(request).hostname === SECOND_HOST &&
			isLocalAddress(request.socket.remoteAddress ?? '');
		const cookie = isHere && request.method === 'GET' && this.log.actions.redeem(ticket);
		if (!cookie)
			return [
				403,
				'text/plain',
				'The ticket was used, or is too old: press the button again'
			];
		headers['set-cookie'] = cookie;
		headers.location = '/';
		return [303, 'text/plain', ''];
	}
}

/** The path of the tickets for the second browser. */
const TAKE = `${PATH}/take/`;

/** The name and the code of an error. Its message may have what the store has said. */
function nameOf(error: unknown): string {
	const { name, code } = error as { name?: unknown; code?: unknown };
	return [name, code].filter((part) => typeof part === 'string').join(' ');
}

function hostOf({ headers }: Incoming): string {
	return String(headers.host ?? headers[':authority'] ?? '');
}

/** The origin to which a request was sent. */
function originOf(request: Incoming): URL {
	const url = `${request.socket.encrypted === true ? 'https' : 'http'}://${hostOf(request)}`;
	return URL.canParse(url) ? new URL(url) : new URL('http://invalid');
}

/**
 * The reason to refuse a request, if there is one. A page of another site could make its own name point to this machine
 * (DNS rebinding), so the name in `Host` must be one of this machine; and another machine must not reach the panel.
 */
function refusalOf(request: Incoming): string | undefined {
	const { headers, socket } = request;
	const host = hostOf(request);
	const site = headers['sec-fetch-site'];
	if (!isLocalHost(host.replace(/:\d+$/, '').toLowerCase()))
		return 'The dev panel is for localhost only';
	if (!isLocalAddress(socket.remoteAddress ?? ''))
		return 'The dev panel is for this machine only';
	if (site !== undefined && site !== 'same-origin' && site !== 'none')
		return 'The dev panel is not for pages of other sites';
	return undefined;
}
