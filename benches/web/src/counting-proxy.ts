import { counting, type Proxy } from '../../../packages/vestiary/test/stores/counting.ts';

/** A proxy before a server that counts how often clients wait for a reply; before Redis, commands, too. */
export class CountingProxy {
	commands = 0;
	#proxy: Proxy | undefined;

	/** Listens on a free port. */
	static async launch(
		target: number,
		server: 'Redis' | 'another' = 'Redis'
	): Promise<CountingProxy> {
		const proxy = new CountingProxy();
		const watch = (): ((chunk: Buffer) => void) => {
			const counter = new CommandCounter();
			return (chunk) => {
				proxy.commands += counter.in(chunk);
			};
		};
		proxy.#proxy = await counting(target, 0, server === 'Redis' ? watch : undefined);
		return proxy;
	}

	get port(): number {
		return this.#proxy?.port ?? 0;
	}

	/** The number of changes from replies to commands: commands that are sent together count as one. */
	get roundTrips(): number {
		return this.#proxy?.roundTrips() ?? 0;
	}

	async stop(): Promise<void> {
		this.#proxy?.cut();
		await this.#proxy?.stop();
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
