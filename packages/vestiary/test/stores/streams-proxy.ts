import type { Socket } from 'node:net';

import { TcpProxy } from './tcp-proxy.ts';

/** A TCP proxy for Redis or Postgres that drops messages of channels. */
export class DroppingProxy extends TcpProxy {
	/** The share of messages that it drops, from 0 to 1. */
	drops = 0;
	/** The number of messages that it has passed on, and dropped. */
	passed = 0;
	dropped = 0;
	readonly #isMessage: Framing;

	private constructor(target: number, framing: Framing) {
		super(target);
		this.#isMessage = framing;
	}

	static async launch(target: number, framing: Framing = ofRedis): Promise<DroppingProxy> {
		return new DroppingProxy(target, framing).listening();
	}

	protected override join(client: Socket, server: Socket): void {
		client.pipe(server);
		let rest = '';
		server.on('data', (data: Buffer) => {
			rest = this.#filtered(rest + data.toString('latin1'), client);
		});
	}

	/** Passes replies on. Returns a message that has not arrived as a whole. */
	#filtered(text: string, client: Socket): string {
		let rest = text;
		for (;;) {
			const frame = this.#isMessage(rest);
			if (frame === 'incomplete') return rest;
			if (frame.isMessage && Math.random() < this.drops) this.dropped++;
			else {
				if (frame.isMessage) this.passed++;
				client.write(rest.slice(0, frame.end), 'latin1');
			}
			rest = rest.slice(frame.end);
			if (rest === '') return rest;
		}
	}
}

/** The first frame of a server's data, or all of the data that is no message. */
type Framing = (
	text: string
) => { readonly isMessage: boolean; readonly end: number } | 'incomplete';

/** Redis: a message is its own piece of a connection that is subscribed. */
function ofRedis(text: string): ReturnType<Framing> {
	if (!HEADS.some((head) => text.startsWith(head)))
		return HEADS.some((head) => head.startsWith(text))
			? 'incomplete'
			: { isMessage: false, end: text.length };
	// Its parts: the word, the channel, and the message, each after its length.
	const lines = text.split('\r\n', PARTS + 1);
	if (lines.length <= PARTS) return 'incomplete';
	return { isMessage: true, end: lines.slice(0, PARTS).join('\r\n').length + 2 };
}

/** Postgres: each frame has a letter and its length; `A` is a notification. */
export function ofPostgres(text: string): ReturnType<Framing> {
	if (text.length < 5) return 'incomplete';
	const end = 1 + Buffer.from(text.slice(1, 5), 'latin1').readUInt32BE();
	return text.length < end ? 'incomplete' : { isMessage: text.startsWith('A'), end };
}

/** The beginnings of a message in RESP 2 and 3, and the number of its lines. */
const HEADS = ['*3\r\n$7\r\nmessage\r\n', '>3\r\n$7\r\nmessage\r\n'];
const PARTS = 7;
