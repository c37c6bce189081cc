/**
 * SvelteKit analyses and prerenders an app in workers that it marks so. There no visitor exists:
 * sessions stay untouched, and the secret and the client of a store may be missing.
 */
export const building: boolean = environment('SVELTEKIT_FORK') === 'true';

/** `vite dev` says so; everything else is taken for production. */
export const developing: boolean = environment('NODE_ENV') === 'development';

/** The tests of an application may do with a short secret. */
export const testing: boolean = environment('NODE_ENV') === 'test';

function environment(name: 'NODE_ENV' | 'SVELTEKIT_FORK'): string | undefined {
	return typeof process === 'undefined' ? undefined : process.env[name];
}
