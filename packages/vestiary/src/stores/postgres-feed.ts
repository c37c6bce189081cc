import type { ChangeListener } from '../types.js';
import { has } from './check.js';

/** Listens on a channel, and resolves when it does. Returns a function with which it stops. */
export type Listen = (channel: string, listener: ChangeListener) => Promise<() => void>;

/** The way in which a client listens on a channel of Postgres. Undefined for a client that cannot. */
export function listenOf(client: unknown): Listen | undefined {
	if (has(client, ['unsafe', 'listen'])) return ofPostgresJs(client as PostgresJs);
	if (has(client, ['query', 'listen'])) return ofPGlite(client as PGlite);
	if (!has(client, ['query', 'connect', 'on'])) return undefined;
	if ('totalCount' in (client as object)) return ofPool(client as Pool);
	return async (channel, listener) =>
		listening(client as Connection, channel, listener, (connection) => {
			connection.query(`UNLISTEN "${channel}"`).then(undefined, () => undefined);
		});
}

/** The part of a connection of `pg` or of Neon that is used. */
interface Connection {
	query(text: string): PromiseLike<unknown>;
	on(event: string, listener: (message: never) => void): unknown;
	off(event: string, listener: (message: never) => void): unknown;
}

interface PooledConnection extends Connection {
	release(isBroken: boolean): void;
}

interface Pool {
	connect(): Promise<PooledConnection>;
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

/** Takes a connection out of the pool. No other request gets it afterwards, since it would still listen. */
function ofPool(pool: Pool): Listen {
	return async (channel, listener) =>
		listening(await pool.connect(), channel, listener, (connection) => {
			connection.release(true);
		});
}

async function listening<C extends Connection>(
	connection: C,
	channel: string,
	listener: ChangeListener,
	leave: (connection: C) => void
): Promise<() => void> {
	let isOver = false;
	const told = ({ channel: from, payload }: Message): void => {
		if (from === channel && payload !== undefined) listener.changed(payload);
	};
	const stop = (): void => {
		if (isOver) return;
		isOver = true;
		connection.off('notification', told);
		connection.off('end', lost);
		leave(connection);
	};
	const lost = (): void => {
		if (isOver) return;
		stop();
		listener.lost();
	};
	connection.on('notification', told);
	connection.on('end', lost);
	// It stays, because an error without a listener ends the process.
	connection.on('error', lost);
	try {
		await connection.query(`LISTEN "${channel}"`);
	} catch (error) {
		stop();
		throw error;
	}
	return stop;
}

/** The client connects again by itself. What has changed meanwhile is lost, so the feed begins anew. */
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
