/** A TCP proxy for Redis that drops messages of channels. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class DroppingProxy {
	/** The share of messages that it drops, from 0 to 1. */
	drops = 0;
	/** The number of messages that it has passed on, and dropped. */
	passed = 0;
	dropped = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(target: number) {
		this.#server = createServer((client) => {
			const redis = connect(target, '127.0.0.1');
			for (const [socket, other] of [
				[client, redis],
				[redis, client]
			] as const) {
				this.#sockets.add(socket);
				socket.on('error', () => undefined);
				socket.on('close', () => {
					this.#sockets.delete(socket);
					other.destroy();
				});
			}
			client.pipe(redis);
			let rest = '';
			redis.on('data', (data: Buffer) => {
				rest = this.#filtered(rest + data.toString('latin1'), client);
			});
		});
	}

	static async launch(target: number): Promise<DroppingProxy> {
		const proxy = new DroppingProxy(target);
		await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	async stop(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	/** Passes replies on. Returns a message that has not arrived as a whole. */
	#filtered(text: string, client: Socket): string {
		let rest = text;
		while (HEADS.some((head) => rest.startsWith(head))) {
			// Its parts: the word, the channel, and the message, each after its length.
			const end = rest.split('\r\n', PARTS).join('\r\n').length + 2;
			if (rest.split('\r\n', PARTS + 1).length <= PARTS) return rest;
			if (Math.random() < this.drops) this.dropped++;
			else {
				this.passed++;
				client.write(rest.slice(0, end), 'latin1');
			}
			rest = rest.slice(end);
		}
		if (HEADS.some((head) => head.startsWith(rest))) return rest;
		client.write(rest, 'latin1');
		return '';
	}
}

/** The beginnings of a message in RESP 2 and 3, and the number of its lines. */
const HEADS = ['*3\r\n$7\r\nmessage\r\n', '>3\r\n$7\r\nmessage\r\n'];
const PARTS = 7;
