import { resolve } from '$app/paths';

/** The path under which the site is served: empty at the root of a host. */
export const base = resolve('/').replace(/\/$/, '');
