import type { ChangeListener } from '../types.js';
import { Probe } from './probe.js';

/** The methods of an ioredis client for one server that a subscription uses. */
interface IoRedis {
	duplicate(options: object): IoRedis;
	connect(): Promise<unknown>;
	subscribe(channel: string): Promise<unknown>;
	ping(): Promise<unknown>;
	disconnect(): void;
	on(event: string, listener: (channel: string, message: string) => void): unknown;
}

/** The methods of a node-redis client for one server that a subscription uses. */
interface NodeRedis {
	readonly options?: { readonly socket?: object };
	duplicate(options: object): NodeRedis;
	connect(): Promise<unknown>;
	subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
	ping(): Promise<unknown>;
	/** Absent in version 4. */
	destroy?(): void;
	disconnect(): Promise<void>;
	on(event: string, listener: () => void): unknown;
}

interface NodeRedisCluster {
	readonly masters: readonly object[];
	nodeClient(node: object): Promise<NodeRedis>;
}

/** Whether a client can make the connection for a subscription. */
export function canSubscribe(client: object): boolean {
	return 'duplicate' in client;
}

/** The text that an ioredis client puts before each key. */
export function keyPrefixOf(client: object): string {
	const { options } = client as { options?: { keyPrefix?: unknown } };
	const prefix = options?.keyPrefix;
	return typeof prefix === 'string' ? prefix : '';
}

/**
 * Subscribes to a channel by a connection of its own: while a connection is subscribed, it takes no other command. In a
 * cluster it goes to one of the nodes, all of which get the messages. The client does not connect it again by itself,
 * because only a new call shows that messages were missed.
 * @returns Ends the connection
 */
export async function subscribe(
	client: object,
	channel: string,
	listener: ChangeListener
): Promise<() => void> {
	// Recognised by a method that only node-redis has, as in `RedisStore`.
	if ('pExpire' in client) return subscribeNodeRedis(await nodeOf(client), channel, listener);
	const { nodes } = client as { nodes?: (role: string) => object[] };
	const node = nodes ? anyOf(nodes.call(client, 'master')) : client;
	return subscribeIoRedis(node as IoRedis, channel, listener);
}

async function subscribeIoRedis(
	client: IoRedis,
	channel: string,
	listener: ChangeListener
): Promise<() => void> {
	const connection = client.duplicate({
		lazyConnect: true,
		autoResubscribe: false,
		readOnly: false,
		maxRetriesPerRequest: 0,
		retryStrategy: () => null,
		reconnectOnError: () => false
	});
	const subscription = new Subscription(connection, listener, () => {
		connection.disconnect();
	});
	// Without a listener, an error would be printed, or end the process.
	connection.on('error', () => undefined);
	connection.on('end', () => {
		subscription.lost();
	});
	connection.on('message', (_, name) => {
		listener.changed(name);
	});
	return subscription.begin(async () => {
		await connection.connect();
		await connection.subscribe(channel);
	});
}

async function subscribeNodeRedis(
	client: NodeRedis,
	channel: string,
	listener: ChangeListener
): Promise<() => void> {
	const connection = client.duplicate({
		socket: { ...client.options?.socket, reconnectStrategy: false }
	});
	const subscription = new Subscription(connection, listener, () => {
		if (connection.destroy) connection.destroy();
		else void connection.disconnect().catch(() => undefined);
	});
	for (const event of ['error', 'end'])
		connection.on(event, () => {
			subscription.lost();
		});
	return subscription.begin(async () => {
		await connection.connect();
		await connection.subscribe(channel, (name) => {
			listener.changed(name);
		});
	});
}

/** A connection that is subscribed. It is probed until it is lost or stopped. */
class Subscription {
	readonly #listener: ChangeListener;
	readonly #disconnect: () => void;
	readonly #probe: Probe;

	constructor(
		connection: { ping(): Promise<unknown> },
		listener: ChangeListener,
		disconnect: () => void
	) {
		this.#listener = listener;
		this.#disconnect = disconnect;
		this.#probe = new Probe(
			async () => connection.ping(),
			() => {
				this.#stop();
				listener.lost();
			}
		);
	}

	/**
	 * Connects, and disconnects if that fails.
	 * @returns Ends the subscription
	 */
	async begin(connect: () => Promise<void>): Promise<() => void> {
		try {
			await connect();
		} catch (error) {
			this.#stop();
			throw error;
		}
		this.#probe.start();
		return () => {
			this.#stop();
		};
	}

	/** Called when the client says that the connection is lost. */
	lost(): void {
		this.#probe.stop();
		this.#listener.lost();
	}

	#stop(): void {
		this.#probe.stop();
		try {
			this.#disconnect();
		} catch {
			// It was closed already.
		}
	}
}

/** The client for one server, or for a node of the cluster. */
async function nodeOf(client: object): Promise<NodeRedis> {
	if (!('masters' in client)) return client as NodeRedis;
	const cluster = client as NodeRedisCluster;
	return cluster.nodeClient(anyOf(cluster.masters));
}

/** One of several, at random, so that a node that fails is not chosen each time. */
function anyOf<T>(all: readonly T[]): T {
	const one = all[Math.floor(Math.random() * all.length)];
	if (one === undefined) throw new Error('the cluster has no nodes');
	return one;
}
