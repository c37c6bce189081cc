/**
 * Whether SvelteKit is analysing or prerendering the app, in a worker that it marks with this variable. There are no
 * visitors then: sessions stay untouched, and the secret and the client of a store may be missing.
 */
export const building: boolean = environment('SVELTEKIT_FORK') === 'true';

/** Whether `vite dev` is running. Everything else counts as production. */
export const developing: boolean = environment('NODE_ENV') === 'development';

/** Whether tests of an application are running, where a short secret is accepted. */
export const testing: boolean = environment('NODE_ENV') === 'test';

/** Whether requests must not share timers, connections and promises, as on Cloudflare Workers. */
export const isolated: boolean =
	typeof navigator === 'object' && navigator.userAgent === 'Cloudflare-Workers';

function environment(name: 'NODE_ENV' | 'SVELTEKIT_FORK'): string | undefined {
	return typeof process === 'undefined' ? undefined : process.env[name];
}
