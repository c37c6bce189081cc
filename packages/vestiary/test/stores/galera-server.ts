import { startMySql, type MySqlServer } from './mysql-server.ts';
import { freePort } from './servers.ts';

/** A cluster of MariaDB, whose servers all take writes (Galera). */
export interface GaleraCluster {
	readonly servers: readonly [MySqlServer, MySqlServer];
	stop(): Promise<void>;
}

/** Starts two servers. Debian installs the library of Galera with MariaDB. */
export async function startGalera(): Promise<GaleraCluster> {
	const first = await membership('');
	const one = await startMySql(...first.settings);
	const second = await membership(first.address);
	const other = await startMySql(...second.settings);
	return {
		servers: [one, other],
		stop: async () => {
			await other.stop();
			await one.stop();
		}
	};
}

/** The settings of a server that joins the cluster at an address; without one, it begins a cluster. */
async function membership(joins: string): Promise<{ address: string; settings: string[] }> {
	const [address, transfer, changes] = [await free(), await free(), await free()];
	const provider = [
		...[`gmcast.listen_addr=tcp://${address}`, `ist.recv_addr=${changes}`, 'gcache.size=16M'],
		// Otherwise a server that a busy machine has stopped for a few seconds counts as lost.
		...['evs.suspect_timeout=PT30S', 'evs.inactive_timeout=PT60S']
	];
	const settings = [
		...['--wsrep-on=ON', `--wsrep-provider=${LIBRARY}`],
		...[`--wsrep-cluster-address=gcomm://${joins}`, '--wsrep-cluster-name=vestiary'],
		...['--wsrep-node-address=127.0.0.1', '--wsrep-sst-method=rsync'],
		...[
			`--wsrep-sst-receive-address=${transfer}`,
			`--wsrep-provider-options=${provider.join(';')}`
		],
		...['--binlog-format=ROW', '--innodb-autoinc-lock-mode=2'],
		'--innodb-flush-log-at-trx-commit=0'
	];
	return { address, settings };
}

async function free(): Promise<string> {
	return `127.0.0.1:${await freePort()}`;
}

/** Where Debian has it. */
const LIBRARY = process.env.GALERA_LIBRARY ?? '/usr/lib/galera/libgalera_smm.so';
