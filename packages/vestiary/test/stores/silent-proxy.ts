/** A TCP proxy whose connections can be cut off without a word, as by a firewall that has forgotten them. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class SilentProxy {
	/** The number of connections so far. */
	connections = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(target: number) {
		this.#server = createServer((client) => {
			this.connections++;
			const server = connect(target, '127.0.0.1');
			for (const [socket, other] of [
				[client, server],
				[server, client]
			] as const) {
				this.#sockets.add(socket);
				socket.on('error', () => undefined);
				socket.on('close', () => {
					this.#sockets.delete(socket);
					other.destroy();
				});
				socket.pipe(other);
			}
		});
	}

	static async launch(target: number): Promise<SilentProxy> {
		const proxy = new SilentProxy(target);
		await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** Passes nothing more on by the connections of now. They stay open at both ends. */
	silence(): void {
		for (const socket of this.#sockets) socket.unpipe().resume();
	}

	async stop(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}
