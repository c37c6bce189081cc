/** The processes of the runs with streams, and what a visitor sees of a stream. */
import { fork } from 'node:child_process';

/** The secret of all processes of a run, so that each knows the sessions of the others. */
export const SECRET = 'a secret of the tests for streams, 32 bytes';

/** The name of their cookie. */
export const COOKIE = 'session';

/** The store of the processes. */
export interface StreamStore {
	/** Its kind, and where the processes find it. */
	readonly kind: 'Redis' | 'Postgres' | 'SQLite' | 'MariaDB';
	readonly address: string;
	/** The number of processes that listen to its feed, if it has one. */
	listeners?(): Promise<number>;
}

/** A process that serves streams for as long as their sessions live. */
export interface StreamProcess {
	/** The kind of its streams. */
	readonly kind: string;
	/** The address under which users log in and out, if it has one. */
	readonly logins?: string;
	/** Opens a stream of a visitor. */
	open(cookie: string): Promise<Stream>;
	stop(): void;
}

/** An open stream. */
export interface Stream {
	/** The number of messages so far. */
	chunks: number;
	/** When the last one was made, in milliseconds since the epoch. If it does not say so: when it arrived. */
	last: number;
	isOver: boolean;
	/** When it has ended. */
	readonly end: Promise<number>;
	readonly leave: () => void;
}

const WORKER = new URL('streams-worker.ts', import.meta.url).pathname;

/** Starts a process with a handle of the package and event streams. */
export async function eventStreams(
	{ kind, address }: StreamStore,
	recheckAfter: number
): Promise<StreamProcess> {
	const child = fork(WORKER, [kind, address, `${recheckAfter}`]);
	const port = await new Promise((resolve) => child.once('message', resolve));
	const url = `http://127.0.0.1:${String(port)}`;
	return {
		kind: 'event streams',
		logins: url,
		open: async (cookie) => openStream(`${url}/events`, { cookie }),
		stop: () => child.kill()
	};
}

/** Opens a response of server-sent events whose messages end with the time at which they were made. */
export async function openStream(url: string, headers: Record<string, string>): Promise<Stream> {
	const leaving = new AbortController();
	const { status, body } = await fetch(url, { headers, signal: leaving.signal });
	if (status !== 200 || !body) throw new Error(`a stream was refused: ${status}`);
	const { stream, over } = opening(() => {
		leaving.abort();
	});
	const reading = async (): Promise<void> => {
		for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
			stream.chunks++;
			stream.last = Number(/[\d.]+(?=[^\d]*$)/.exec(Buffer.from(chunk).toString())?.[0]);
		}
		over();
	};
	// The visitor has left at the end of the run.
	reading().catch(() => undefined);
	return stream;
}

/** A stream that has just been opened, and the function to call at its end. */
export function opening(leave: () => void): { stream: Stream; over: () => void } {
	let end: (at: number) => void = () => undefined;
	const stream: Stream = {
		chunks: 0,
		last: 0,
		isOver: false,
		end: new Promise((resolve) => (end = resolve)),
		leave
	};
	return {
		stream,
		over: () => {
			stream.isOver = true;
			end(now());
		}
	};
}

/** The time of the machine, in milliseconds with fractions. */
export const now = (): number => performance.timeOrigin + performance.now();
