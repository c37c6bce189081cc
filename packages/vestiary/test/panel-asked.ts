import type { DevServer } from '../src/vite.js';

export interface Asked {
	readonly url?: string;
	readonly method?: string;
	readonly headers?: Record<string, string>;
	readonly from?: string;
}

export interface Answered {
	status: number;
	text: string;
	headers: Map<string, string>;
}

/** A development server with the plugin, which a browser on this machine asks. */
export interface AskedServer {
	/** Whether the plugin has added the panel. */
	readonly isThere: boolean;
	/** The lines that Vite prints when it has started. */
	readonly printed: () => string[];
	/** Asks for a page. The answer to a button comes later. */
	readonly ask: (asked?: Asked) => Answered;
	/** Asks, and waits for the answer. */
	readonly wait: (asked: Asked) => Promise<Answered>;
}

/** Starts the plugin in a development server of its own. */
export async function startPanel(panel?: boolean): Promise<AskedServer> {
	const { vestiary: plugin } = await import('../src/vite.js');
	let middleware: Parameters<DevServer['middlewares']['use']>[0] | undefined;
	const lines: string[] = [];
	const server: DevServer = {
		middlewares: { use: (one) => (middleware = one) },
		resolvedUrls: { local: ['http://localhost:5173/base/'] },
		config: { logger: { info: (text) => lines.push(text) } },
		printUrls: () => lines.push('Local')
	};
	plugin({ panel }).configureServer(server);

	const send = (asked: Asked, ended: (answer: Answered) => void): Answered => {
		const { url = '/__vestiary/log', method = 'GET', headers = {}, from = '127.0.0.1' } = asked;
		const sent: Answered = { status: 0, text: '', headers: new Map() };
		middleware?.(
			{
				url,
				method,
				headers: { host: 'localhost:5173', ...headers },
				socket: { remoteAddress: from }
			},
			{
				set statusCode(status: number) {
					sent.status = status;
				},
				setHeader: (name, value) => sent.headers.set(name, value),
				end: (text = '') => {
					sent.text = text;
					ended(sent);
				}
			},
			() => {
				sent.status = -1;
			}
		);
		return sent;
	};
	return {
		isThere: middleware !== undefined,
		printed: () => {
			server.printUrls?.();
			return lines;
		},
		ask: (asked = {}) => send(asked, () => undefined),
		wait: async (asked) => new Promise((resolve) => send(asked, resolve))
	};
}
