import type { Socket } from 'node:net';

import { TcpProxy } from './tcp-proxy.ts';

/** A TCP proxy whose connections can be cut off without a word, as by a firewall that has forgotten them. */
export class SilentProxy extends TcpProxy {
	static async launch(target: number): Promise<SilentProxy> {
		return new SilentProxy(target).listening();
	}

	/** Passes nothing more on by the connections of now. They stay open at both ends. */
	silence(): void {
		for (const socket of this.sockets) socket.unpipe().resume();
	}

	protected override join(client: Socket, server: Socket): void {
		client.pipe(server);
		server.pipe(client);
	}
}
