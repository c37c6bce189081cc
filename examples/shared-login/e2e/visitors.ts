import { ORIGIN } from './running.ts';

/** An open stream of events, or a socket. */
export interface Stream {
	/** The number of messages so far. */
	count: number;
	isOver: boolean;
	/** Resolves when it has ended. */
	end: Promise<void>;
	leave: () => void;
}

/** Posts a form, as a browser with this cookie does. */
export async function post(path: string, cookie: string, body = ''): Promise<Response> {
	const type = 'application/x-www-form-urlencoded';
	const headers = { cookie, origin: ORIGIN, 'content-type': type };
	return fetch(ORIGIN + path, { method: 'POST', headers, body, redirect: 'manual' });
}

/** Logs a visitor in, and returns the cookie. */
export async function loggedIn(path: string, name: string): Promise<string> {
	const response = await post(path, '', `name=${name}`);
	return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

/** Opens the stream of events of the SvelteKit half, and waits for the first one. */
export async function events(cookie: string): Promise<Stream> {
	const leaving = new AbortController();
	const { signal } = leaving;
	const { body, status } = await fetch(`${ORIGIN}/events`, { headers: { cookie }, signal });
	if (!body) throw new Error(`the status is ${status}`);
	const chunks = body.getReader();
	await chunks.read();
	const stream = { count: 1, isOver: false, end: Promise.resolve() };
	stream.end = (async () => {
		while (!(await chunks.read()).done) stream.count++;
		stream.isOver = true;
	})();
	// The test's own end of a stream.
	stream.end.catch(() => undefined);
	return Object.assign(stream, {
		leave: () => {
			leaving.abort();
		}
	});
}

/** Opens a socket to the Rust half, and waits for the first message. */
export async function socket(cookie: string): Promise<Stream> {
	// The headers are an extension of Node.js.
	const options = { headers: { cookie, origin: ORIGIN } } as never;
	const socket = new WebSocket(`${ORIGIN.replace('http', 'ws')}/api/live`, options);
	const stream = { count: 0, isOver: false, end: Promise.resolve() };
	stream.end = new Promise((resolve) => {
		socket.addEventListener('close', () => {
			stream.isOver = true;
			resolve();
		});
	});
	await new Promise<void>((resolve, reject) => {
		socket.addEventListener('message', () => {
			stream.count++;
			resolve();
		});
		socket.addEventListener('error', () => {
			reject(new Error('the socket failed'));
		});
	});
	return Object.assign(stream, {
		leave: () => {
			socket.close();
		}
	});
}
