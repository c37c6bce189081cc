/** A TCP proxy that loses replies, delays data, and cuts connections. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Chance } from './chance.ts';

/** Faults of a connection. */
export const TROUBLES = ['deaf', 'slow answers', 'slow requests', 'cut', 'torn'] as const;
export type Trouble = (typeof TROUBLES)[number];

export class Proxy {
	readonly #server: Server;
	readonly #lines = new Set<Line>();

	private constructor(target: number) {
		this.#server = createServer((client) => {
			const line = new Line(client, connect(target, '127.0.0.1'));
			this.#lines.add(line);
			client.once('close', () => this.#lines.delete(line));
		});
	}

	/** Listens on a free port, for clients of the target. */
	static async launch(target: number): Promise<Proxy> {
		const proxy = new Proxy(target);
		await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** Disturbs one of the connections; false if there is none. */
	trouble(trouble: Trouble, chance: Chance): boolean {
		const healthy = [...this.#lines].filter((line) => !line.troubled);
		const line = healthy[chance.below(healthy.length)];
		void line?.trouble(trouble, 100 + chance.below(900));
		return line !== undefined;
	}

	async stop(): Promise<void> {
		for (const line of this.#lines) line.cut();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}

/** A connection through the proxy. */
class Line {
	troubled = false;
	readonly #client: Socket;
	readonly #server: Socket;
	#deaf = false;
	#torn = false;
	/** Milliseconds by which a direction is late. */
	readonly #late = { requests: 0, answers: 0 };

	constructor(client: Socket, server: Socket) {
		this.#client = client;
		this.#server = server;
		for (const socket of [client, server]) {
			socket.setNoDelay(true);
			socket.on('error', () => undefined);
			socket.once('close', () => {
				this.cut();
			});
		}
		let requests = Promise.resolve();
		let answers = Promise.resolve();
		// In order: TCP loses and reorders nothing; it only ends.
		client.on('data', (data) => {
			requests = requests.then(async () => this.#forward('requests', data));
		});
		server.on('data', (data) => {
			answers = answers.then(async () => this.#forward('answers', data));
		});
	}

	async trouble(trouble: Trouble, milliseconds: number): Promise<void> {
		this.troubled = true;
		switch (trouble) {
			case 'cut':
				this.cut();
				return;
			case 'torn':
				this.#torn = true;
				return;
			case 'deaf':
				// The server performs the command, but the client gets no reply. No other reply may follow, since it
				// would be taken for the lost one.
				this.#deaf = true;
				await sleep(milliseconds);
				this.cut();
				return;
			default: {
				const direction = trouble === 'slow answers' ? 'answers' : 'requests';
				this.#late[direction] = milliseconds;
				await sleep(milliseconds);
				this.#late[direction] = 0;
				this.troubled = false;
			}
		}
	}

	cut(): void {
		this.#client.destroy();
		this.#server.destroy();
	}

	async #forward(direction: 'requests' | 'answers', data: Buffer): Promise<void> {
		if (this.#late[direction] > 0) await sleep(this.#late[direction]);
		if (direction === 'answers') {
			if (!this.#deaf) this.#client.write(data);
		} else if (this.#torn) {
			this.#server.end(data.subarray(0, Math.floor(data.length / 2)));
			this.cut();
		} else this.#server.write(data);
	}
}
