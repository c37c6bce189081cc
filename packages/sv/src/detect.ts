import { findDrizzle } from './drizzle.ts';
import { platformOf } from './platforms.ts';
import type { Project } from './project.ts';
import { Refusal } from './refusal.ts';
import type { StoreKind } from './stores.ts';
import { findWorker } from './wrangler.ts';

/** Packages that tell which server an app has already, in the order in which they decide. */
const CLIENTS: readonly [string, StoreKind][] = [
	['pg', 'postgres'],
	['postgres', 'postgres'],
	['mysql2', 'mysql'],
	['@libsql/client', 'libsql'],
	['ioredis', 'redis'],
	['redis', 'redis'],
	['@upstash/redis', 'upstash']
];

/** The store for what the app has: its drizzle client, its platform, its clients; otherwise a file. */
export function detectStore(project: Project): StoreKind {
	const drizzle = findDrizzle(project);
	if (drizzle) return drizzle.kind;
	const has = (name: string): boolean => project.version(name) !== undefined;
	const platform = platformOf(project);
	if (platform === 'cloudflare') return storeOfWorker(project, has('@upstash/redis'));
	const client = CLIENTS.find(([name]) => has(name))?.[1];
	// The files of a function end with it.
	return client ?? (platform === 'functions' ? 'upstash' : 'sqlite');
}

/** The database that a Worker is bound to; otherwise its client over HTTP; otherwise objects, if it may have any. */
function storeOfWorker(project: Project, hasUpstash: boolean): StoreKind {
	let settings;
	try {
		({ settings } = findWorker(project) ?? { settings: {} });
	} catch (error) {
		// The run refuses the file. A question needs no more than a default.
		if (!(error instanceof Refusal)) throw error;
		settings = {};
	}
	if ((settings.d1_databases ?? []).length > 0) return 'd1';
	if (hasUpstash) return 'upstash';
	return settings.pages_build_output_dir === undefined ? 'durable-objects' : 'd1';
}
