import type { ChangeListener } from '../types.js';
import { has } from './check.js';
import { Probe } from './probe.js';

/** Listens on a channel, and resolves when it does. Returns a function with which it stops. */
export type Listen = (channel: string, listener: ChangeListener) => Promise<() => void>;

/** The way in which a client listens on a channel of Postgres. Undefined for a client that cannot. */
export function listenOf(client: unknown): Listen | undefined {
	if (has(client, ['unsafe', 'listen'])) return ofPostgresJs(client as PostgresJs);
	if (has(client, ['query', 'listen'])) return ofPGlite(client as PGlite);
	if (!has(client, ['query', 'connect', 'on'])) return undefined;
	return has(client, ['Client']) ? ofPool(client as Pool) : ofClient(client as Connection);
}

/** The part of a `Client` of `pg` or of Neon that is used. */
interface Connection {
	query(text: string): PromiseLike<unknown>;
	on(event: string, listener: (message: never) => void): unknown;
	off(event: string, listener: (message: never) => void): unknown;
}

interface OwnConnection extends Connection {
	connect(): Promise<unknown>;
	end(): Promise<void>;
}

interface Pool {
	/** The class of the connections, and the argument with which the pool makes them. */
	readonly Client: new (options: unknown) => OwnConnection;
	readonly options: unknown;
}

interface Message {
	readonly channel: string;
	readonly payload?: string | undefined;
}

interface PostgresJs {
	listen(
		channel: string,
		changed: (name: string) => void,
		listens: () => void
	): Promise<{ unlisten(): Promise<void> }>;
}

interface PGlite {
	listen(channel: string, changed: (name: string) => void): Promise<() => Promise<void>>;
}

/** Opens a connection beside those of the pool, which may have only one. */
function ofPool({ Client, options }: Pool): Listen {
	return async (channel, listener) => {
		const connection = new Client(options);
		// It stays, because an error without a listener ends the process.
		connection.on('error', () => undefined);
		const end = (): void => {
			connection.end().catch(() => undefined);
		};
		try {
			await connection.connect();
		} catch (error) {
			end();
			throw error;
		}
		return listening(connection, channel, listener, end);
	};
}

/** Listens on the connection of the application. */
function ofClient(client: Connection): Listen {
	return async (channel, listener) =>
		listening(client, channel, listener, () => {
			client.query(`UNLISTEN "${channel}"`).then(undefined, () => undefined);
		});
}

async function listening(
	connection: Connection,
	channel: string,
	listener: ChangeListener,
	leave: () => void
): Promise<() => void> {
	let isOver = false;
	const hears = ({ channel: from, payload }: Message): void => {
		if (from === channel && payload !== undefined) listener.changed(payload);
	};
	const lost = (): void => {
		if (isOver) return;
		stop();
		listener.lost();
	};
	const listeners = [
		['notification', hears],
		['error', lost],
		['end', lost]
	] as const;
	const stop = (): void => {
		if (isOver) return;
		isOver = true;
		probe.stop();
		for (const [event, one] of listeners) connection.off(event, one);
		leave();
	};
	const probe = new Probe(() => connection.query('SELECT 1'), lost);
	for (const [event, one] of listeners) connection.on(event, one);
	try {
		await connection.query(`LISTEN "${channel}"`);
	} catch (error) {
		stop();
		throw error;
	}
	probe.start();
	return stop;
}

/**
 * The client connects again by itself. What has changed meanwhile is lost, so the feed begins anew. It is not probed: only the
 * client can end its connection.
 */
function ofPostgresJs(sql: PostgresJs): Listen {
	return async (channel, listener) => {
		let isConnected = false;
		const feed = endable(listener);
		const request = await sql.listen(channel, feed.changed, () => {
			if (isConnected && feed.end(unlisten)) listener.lost();
			isConnected = true;
		});
		const unlisten = async (): Promise<void> => request.unlisten();
		return () => {
			feed.end(unlisten);
		};
	};
}

/** The database is in this process, so its connection is not lost. */
function ofPGlite(database: PGlite): Listen {
	return async (channel, listener) => {
		const feed = endable(listener);
		// Without the quotes, it would listen to the channel in small letters.
		const unlisten = await database.listen(`"${channel}"`, feed.changed);
		return () => {
			feed.end(unlisten);
		};
	};
}

/** A listener that gets no message after it has stopped to listen, which takes a while. */
function endable(listener: ChangeListener): {
	readonly changed: (name: string) => void;
	readonly end: (unlisten: () => Promise<void>) => boolean;
} {
	let isOver = false;
	return {
		changed: (name) => {
			if (!isOver) listener.changed(name);
		},
		end: (unlisten) => {
			if (isOver) return false;
			isOver = true;
			unlisten().catch(() => undefined);
			return true;
		}
	};
}
