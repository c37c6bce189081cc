import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A proxy before a server that counts how often clients wait for a reply; before Redis, commands, too. */
export class CountingProxy {
	commands = 0;
	/** The number of changes from replies to commands: commands that are sent together count as one. */
	roundTrips = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(target: number, server: 'Redis' | 'another') {
		this.#server = createServer((client) => {
			const commands = server === 'Redis' ? new CommandCounter() : undefined;
			this.#join(client, connect(target, '127.0.0.1'), commands);
		});
	}

	/** Listens on a free port. */
	static async launch(
		target: number,
		server: 'Redis' | 'another' = 'Redis'
	): Promise<CountingProxy> {
		const proxy = new CountingProxy(target, server);
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

	#join(client: Socket, server: Socket, commands: CommandCounter | undefined): void {
		let asking = false;
		client.on('data', (chunk: Buffer) => {
			if (!asking) this.roundTrips++;
			asking = true;
			this.commands += commands?.in(chunk) ?? 0;
			server.write(chunk);
		});
		server.on('data', (chunk: Buffer) => {
			asking = false;
			client.write(chunk);
		});
		for (const [one, other] of [
			[client, server],
			[server, client]
		] as const) {
			one.setNoDelay(true);
			one.on('error', () => undefined);
			one.on('close', () => {
				other.destroy();
				this.#sockets.delete(one);
			});
			this.#sockets.add(one);
		}
	}
}

/** Counts complete commands: arrays of strings with their lengths before them. */
class CommandCounter {
	#rest = Buffer.alloc(0);

	in(chunk: Buffer): number {
		this.#rest = Buffer.concat([this.#rest, chunk]);
		let commands = 0;
		for (;;) {
			const end = this.#endOfCommand();
			if (end === undefined) return commands;
			this.#rest = this.#rest.subarray(end);
			commands++;
		}
	}

	#endOfCommand(): number | undefined {
		const head = this.#line(0);
		if (!head) return undefined;
		let at = head.end;
		for (let n = 0; n < head.number; n++) {
			const length = this.#line(at);
			if (!length) return undefined;
			at = length.end + length.number + 2;
		}
		return at <= this.#rest.length ? at : undefined;
	}

	/** The number in a line such as `*3` or `$12`, and where the next one begins. */
	#line(at: number): { number: number; end: number } | undefined {
		const end = this.#rest.indexOf('\r\n', at);
		if (end === -1) return undefined;
		return { number: Number(this.#rest.toString('latin1', at + 1, end)), end: end + 2 };
	}
}
