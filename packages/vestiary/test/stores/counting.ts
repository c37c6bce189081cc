import {
	createServer,
	connect as connectTo,
	type AddressInfo,
	type Server,
	type Socket
} from 'node:net';

/** A proxy before a server. */
export interface Proxy {
	readonly port: number;
	/** The number of times that the client has sent something after a reply: round trips. */
	roundTrips(): number;
	/** Closes all connections. */
	cut(): void;
	stop(): Promise<void>;
}

/**
 * A proxy that counts round trips: what is sent in several pieces, without a reply between them, counts once.
 * @param at The port on which it listens; 0 for a free one
 * @param watch Called for each connection; the result gets all that the client sends, and may change it in place
 */
export async function counting(
	port: number,
	at = 0,
	watch?: () => (chunk: Buffer) => void
): Promise<Proxy> {
	let trips = 0;
	const sockets = new Set<Socket>();
	const proxy: Server = createServer((socket) => {
		const upstream = connectTo(port, '127.0.0.1');
		sockets.add(socket).add(upstream);
		const see = watch?.();
		let asking = false;
		socket.on('data', (chunk) => {
			if (!asking) trips++;
			asking = true;
			see?.(chunk);
			upstream.write(chunk);
		});
		upstream.on('data', (chunk) => {
			asking = false;
			socket.write(chunk);
		});
		for (const one of [socket, upstream])
			one.setNoDelay(true)
				.on('error', () => undefined)
				.on('close', () => (socket.destroy(), upstream.destroy()));
	});
	await new Promise<void>((resolve) => proxy.listen(at, '127.0.0.1', resolve));
	return {
		port: (proxy.address() as AddressInfo).port,
		roundTrips: () => trips,
		cut: () => {
			for (const socket of sockets) socket.destroy();
			sockets.clear();
		},
		stop: async () => {
			proxy.close();
		}
	};
}
