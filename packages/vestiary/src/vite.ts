import { Log } from './panel/log.js';
import { pageOf } from './panel/page.js';
import { OBSERVER, type Observer } from './observed.js';
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
	readonly socket: { readonly remoteAddress?: string | undefined };
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
}

/** The Vite plugin. */
export interface VestiaryPlugin {
	readonly name: string;
	readonly apply: 'serve';
	configureServer(server: DevServer): void;
}

/**
 * Adds the dev panel to `vite dev`: the page `/__vestiary` shows for each request which session it had, or why it had none.
 * A build is the same without it.
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
	return {
		name: 'vestiary',
		apply: 'serve',
		configureServer({ middlewares }) {
			if (!panel) return;
			const log = new Log();
			(globalThis as { [OBSERVER]?: Observer })[OBSERVER] = log;
			middlewares.use((request, response, next) => {
				const [path = ''] = (request.url ?? '').split('?', 1);
				if (path === PATH || path.startsWith(`${PATH}/`))
					answer(log, path, request, response);
				else next();
			});
		}
	};
}

/** The path of the panel. */
const PATH = '/__vestiary';

function answer(log: Log, path: string, request: Incoming, response: Outgoing): void {
	const refusal = refusalOf(request);
	const headers: Record<string, string> = {
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
		'x-frame-options': 'DENY',
		'referrer-policy': 'no-referrer',
		'cross-origin-resource-policy': 'same-origin',
		'cross-origin-opener-policy': 'same-origin'
	};
	let [status, type, text] = [404, 'text/plain', 'Not found'];
	if (refusal !== undefined) [status, text] = [403, refusal];
	else if (request.method !== 'GET') [status, text] = [405, 'Only GET'];
	else if (path === PATH) {
		const nonce = crypto.randomUUID();
		headers['content-security-policy'] =
			`default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
		[status, type, text] = [200, 'text/html', pageOf(nonce)];
	} else if (path === `${PATH}/log`)
		[status, type, text] = [200, 'application/json', JSON.stringify(log.entries)];
	response.statusCode = status;
	for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
	response.setHeader('content-type', `${type}; charset=utf-8`);
	response.end(text);
}

/**
 * The reason to refuse a request, if there is one. A page of another site could make its own name point to this machine
 * (DNS rebinding), so the name in `Host` must be one of this machine; and another machine must not reach the panel.
 */
function refusalOf({ headers, socket }: Incoming): string | undefined {
	const host = String(headers.host ?? headers[':authority'] ?? '');
	const site = headers['sec-fetch-site'];
	if (!isLocalHost(host.replace(/:\d+$/, '').toLowerCase()))
		return 'The dev panel is for localhost only';
	if (!isLocalAddress(socket.remoteAddress ?? ''))
		return 'The dev panel is for this machine only';
	if (site !== undefined && site !== 'same-origin' && site !== 'none')
		return 'The dev panel is not for pages of other sites';
	return undefined;
}
