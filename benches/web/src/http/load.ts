/** The load generator: a process of its own that receives jobs and returns their results. */
import { connect, type Socket } from 'node:net';

export interface Job {
	port: number;
	path: string;
	/** The cookies of the visitors; connections use them in turn. */
	cookies: string[];
	connections: number;
	milliseconds: number;
	/** Requests per second, sent when they are due. Without a rate, each connection sends the next one at once. */
	rate?: number;
}

export interface Outcome {
	answered: number;
	seconds: number;
	/** Milliseconds from when each request was due to its complete answer. */
	latencies: number[];
}

process.on('message', (job: Job) => {
	run(job).then(
		(outcome) => process.send?.(outcome),
		(error: unknown) => process.send?.({ error: String(error) })
	);
});

async function run(job: Job): Promise<Outcome> {
	const visitors = job.cookies.length === 0 ? [undefined] : job.cookies;
	const connections = await Promise.all(
		Array.from({ length: job.connections }, (_, n) =>
			Connection.open(job, visitors[n % visitors.length])
		)
	);
	const outcome = await (job.rate === undefined
		? closed(connections, job)
		: open(connections, job, job.rate));
	for (const connection of connections) connection.close();
	return outcome;
}

/** Every connection sends its next request when it has the answer: the maximum throughput. */
async function closed(connections: Connection[], { milliseconds }: Job): Promise<Outcome> {
	const begin = performance.now();
	const end = begin + milliseconds;
	let answered = 0;
	const each = async (connection: Connection): Promise<void> => {
		while (performance.now() < end) {
			await connection.ask();
			answered++;
		}
	};
	await Promise.all(connections.map(each));
	return { answered, seconds: (performance.now() - begin) / 1_000, latencies: [] };
}

/**
 * Sends requests at a constant rate, whatever the server does. The time for which a request waits for a connection
 * counts, too: leaving it out is called coordinated omission.
 */
function open(connections: Connection[], { milliseconds }: Job, rate: number): Promise<Outcome> {
	const total = Math.floor((rate * milliseconds) / 1_000);
	const latencies: number[] = [];
	const idle = [...connections];
	const late: number[] = [];
	return new Promise((resolve, reject) => {
		const begin = performance.now();
		let sent = 0;
		const send = (connection: Connection, due: number): void => {
			connection.ask().then(() => {
				latencies.push(performance.now() - due);
				const next = late.shift();
				if (next === undefined) idle.push(connection);
				else send(connection, next);
				if (latencies.length === total)
					resolve({
						answered: total,
						seconds: (performance.now() - begin) / 1_000,
						latencies
					});
			}, reject);
		};
		const look = (): void => {
			const now = performance.now();
			for (; sent < total; sent++) {
				const due = begin + (sent * 1_000) / rate;
				if (due > now) break;
				const connection = idle.pop();
				if (connection) send(connection, due);
				else late.push(due);
			}
			// Timers have a resolution of a millisecond.
			if (sent < total) setImmediate(look);
		};
		look();
	});
}

/** A connection with at most one request in progress. */
class Connection {
	readonly #socket: Socket;
	readonly #request: Buffer;
	#answer = '';
	#done: { resolve: () => void; reject: (error: Error) => void } | undefined;

	private constructor(socket: Socket, request: Buffer) {
		this.#socket = socket;
		this.#request = request;
		socket.setNoDelay(true);
		socket.on('data', (chunk) => {
			this.#received(chunk.toString('latin1'));
		});
		socket.on('error', (error) => this.#done?.reject(error));
		socket.on('close', () => this.#done?.reject(new Error('the server has hung up')));
	}

	static async open({ port, path }: Job, cookie: string | undefined): Promise<Connection> {
		const lines = [
			`GET ${path} HTTP/1.1`,
			'host: localhost',
			'accept: text/html',
			...(cookie === undefined ? [] : [`cookie: ${cookie}`])
		];
		const socket = connect(port, '127.0.0.1');
		await new Promise<void>((resolve, reject) => {
			socket.once('connect', resolve).once('error', reject);
		});
		return new Connection(socket, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
	}

	/** Sends the request; resolves when the answer is complete. */
	ask(): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#done = { resolve, reject };
			this.#socket.write(this.#request);
		});
	}

	close(): void {
		this.#done = undefined;
		this.#socket.destroy();
	}

	#received(text: string): void {
		this.#answer += text;
		const head = this.#answer.indexOf('\r\n\r\n');
		if (head === -1) return;
		const length = /\r\ncontent-length: (\d+)/i.exec(this.#answer)?.[1];
		const whole =
			length === undefined
				? this.#answer.endsWith('\r\n0\r\n\r\n')
				: this.#answer.length >= head + 4 + Number(length);
		if (!whole) return;
		const done = this.#done;
		const status = this.#answer.slice(9, 12);
		this.#answer = '';
		this.#done = undefined;
		if (status === '200') done?.resolve();
		else done?.reject(new Error(`status ${status}`));
	}
}
