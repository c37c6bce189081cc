import { findDrizzle } from './drizzle.ts';
import type { Project } from './project.ts';
import { Refusal } from './refusal.ts';
import type { StoreKind } from './stores.ts';

/** The platform for which the adapter of an app builds it. */
export type Platform = 'cloudflare' | 'functions' | 'static' | 'any';

const PLATFORMS: readonly [adapter: string, Platform][] = [
	['cloudflare', 'cloudflare'],
	['cloudflare-workers', 'cloudflare'],
	['vercel', 'functions'],
	['netlify', 'functions'],
	['static', 'static']
];

/** The platform of the adapter. An app that may be built by others, too, has any. */
export function platformOf({ version }: Pick<Project, 'version'>): Platform {
	const has = (adapter: string): boolean => version(`@sveltejs/adapter-${adapter}`) !== undefined;
	if (has('auto') || has('node')) return 'any';
	return PLATFORMS.find(([adapter]) => has(adapter))?.[1] ?? 'any';
}

/** Stores that a Worker reaches by a binding, or over HTTP. */
const OF_WORKERS: readonly StoreKind[] = ['durable-objects', 'd1', 'upstash', 'libsql'];

/**
 * Refuses a store that the platform of the app does not have.
 * @throws Refusal
 */
export function checkPlatform(project: Project, store: StoreKind): void {
	const platform = platformOf(project);
	if (platform === 'static')
		throw new Refusal(
			'adapter-static makes pages for a server without code, and sessions need one that runs the app: replace it, such as with `npx sv add sveltekit-adapter=adapter:node`, and run this again'
		);
	const isBound = store === 'd1' || store === 'durable-objects';
	// An app may have another adapter beside it.
	if (isBound && project.version('@sveltejs/adapter-cloudflare') === undefined)
		throw new Refusal(
			`the store ${store} is a part of Cloudflare: run \`npx sv add sveltekit-adapter=adapter:cloudflare+cfTarget:workers\` first, and then this again`
		);
	// The application's own client is there, so it has chosen one that works.
	if (findDrizzle(project) !== undefined) return;
	if (platform === 'cloudflare' && !OF_WORKERS.includes(store))
		throw new Refusal(
			`the store ${store} does not work in Workers, which have no files, and no connection that outlives a request: choose durable-objects, d1 or upstash`
		);
	if (platform === 'functions' && (store === 'sqlite' || store === 'memory'))
		throw new Refusal(
			`the store ${store} loses sessions in functions, which end at any time, with their memory and their files: choose upstash, redis or postgres`
		);
}
