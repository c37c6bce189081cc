import * as ioredis5 from 'ioredis5';
import * as ioredis6 from 'ioredis6';
import * as redis4 from 'redis4';
import * as redis6 from 'redis6';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Session, type SessionEvent } from '../../src/index.js';
import { RedisStore, type RedisStoreOptions } from '../../src/stores/redis.js';
import { testEvent } from '../event.js';
import { startCluster, startRedis, type Servers } from './servers.js';

type Client = RedisStoreOptions['client'];

let primary: Servers;
let replica: Servers;
let cluster: Servers;

beforeAll(async () => {
	primary = await startRedis();
	replica = await startRedis('--replicaof', '127.0.0.1', String(primary.ports[0]));
	cluster = await startCluster(1);
});

afterAll(async () => {
	for (const servers of [replica, primary, cluster]) await servers.stop();
});

const url = (port: number): string => `redis://127.0.0.1:${port}`;
const single = (): string => url(primary.ports[0] ?? 0);
const rootNodes = (): { url: string }[] => cluster.ports.map((port) => ({ url: url(port) }));

const CLIENTS: Record<string, () => Client & { connect?: unknown }> = {
	'ioredis 5': () => new ioredis5.Redis(single()),
	'ioredis 6 Cluster': () => new ioredis6.Cluster(cluster.ports.map(url)),
	'node-redis 6': () => redis6.createClient({ url: single() }),
	'node-redis 4 Cluster': () => redis4.createCluster({ rootNodes: rootNodes() }),
	'node-redis 6 Cluster': () => redis6.createCluster({ rootNodes: rootNodes() })
};

/** Ends a session. Returns the confirmation in its event. */
async function ending(store: RedisStore): Promise<boolean | undefined> {
	const events: SessionEvent[] = [];
	const { event } = testEvent();
	const session = await Session.initialize(event, {
		secret: 'a secret that is long enough',
		store,
		onEvent: (happened) => events.push(happened)
	});
	await session.save();
	const { id } = session;
	await session.destroy();
	expect(await store.get(id)).toBeNull();
	const last = events.at(-1);
	return last?.type === 'destroyed' ? last.confirmed : undefined;
}

for (const [name, connect] of Object.entries(CLIENTS)) {
	test(`${name}: says whether replicas know that a session was ended`, async () => {
		const client = connect();
		if ('pExpire' in client) await (client as unknown as redis6.RedisClientType).connect();
		try {
			const confirm = { replicas: 1, timeout: 2_000 };
			// A replica that has only just been made may need a moment.
			let confirmed: boolean | undefined;
			for (let tries = 0; tries < 10 && confirmed !== true; tries++)
				confirmed = await ending(new RedisStore({ client, confirm }));
			expect(confirmed).toBe(true);
			// There are fewer replicas.
			const more = { replicas: 2, timeout: 50 };
			expect(await ending(new RedisStore({ client, confirm: more }))).toBe(false);
			expect(await ending(new RedisStore({ client }))).toBeUndefined();
		} finally {
			const { disconnect, destroy } = client as {
				disconnect?: () => void;
				destroy?: () => void;
			};
			(destroy ?? disconnect)?.call(client);
		}
	});
}

test('a replica that hangs confirms nothing, and the session is ended all the same', async () => {
	const client = new ioredis5.Redis(single());
	try {
		const store = new RedisStore({ client, confirm: { replicas: 1, timeout: 100 } });
		replica.signal?.('SIGSTOP');
		expect(await ending(store)).toBe(false);
	} finally {
		replica.signal?.('SIGCONT');
		client.disconnect();
	}
});
