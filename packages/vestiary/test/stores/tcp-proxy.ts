import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A TCP proxy. A connection that one end closes is closed at the other end, too. */
export abstract class TcpProxy {
	protected readonly sockets = new Set<Socket>();
	readonly #server: Server;

	/** @param target The port of the server, on this machine */
	constructor(target: number) {
		this.#server = createServer((client) => {
			const server = connect(target, '127.0.0.1');
			this.#hold(client, server);
			this.#hold(server, client);
			this.join(client, server);
		});
	}

	/** Passes the data of a new connection on. */
	protected abstract join(client: Socket, server: Socket): void;

	/** Listens on a free port. */
	async listening(): Promise<this> {
		await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
		return this;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	async stop(): Promise<void> {
		for (const socket of this.sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#hold(socket: Socket, other: Socket): void {
		this.sockets.add(socket);
		socket.on('error', () => undefined);
		socket.on('close', () => {
			this.sockets.delete(socket);
			other.destroy();
		});
	}
}
