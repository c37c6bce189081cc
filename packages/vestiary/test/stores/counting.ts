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
	/** The number of packets that the client has sent. */
	packets(): number;
	/** Closes all connections. */
	cut(): void;
	stop(): Promise<void>;
}

/** A proxy that counts how often the client sends something: once for each round trip. */
export async function counting(port: number, at = 0): Promise<Proxy> {
	let packets = 0;
	const sockets = new Set<Socket>();
	const proxy: Server = createServer((socket) => {
		const upstream = connectTo(port, '127.0.0.1');
		sockets.add(socket).add(upstream);
		socket.on('data', (chunk) => {
			packets++;
			upstream.write(chunk);
		});
		upstream.on('data', (chunk) => socket.write(chunk));
		for (const one of [socket, upstream])
			one.on('error', () => undefined).on(
				'close',
				() => (socket.destroy(), upstream.destroy())
			);
	});
	await new Promise<void>((resolve) => proxy.listen(at, '127.0.0.1', resolve));
	return {
		port: (proxy.address() as AddressInfo).port,
		packets: () => packets,
		cut: () => {
			for (const socket of sockets) socket.destroy();
			sockets.clear();
		},
		stop: async () => {
			proxy.close();
		}
	};
}
