import { createRequire } from 'node:module';

import type { Redis } from 'ioredis';

/** ioredis as a package sees it: a store may ask whether a client is of that very class. */
export function loadedBy(name: string): typeof Redis {
	const require = createRequire(import.meta.resolve(name));
	return (require('ioredis') as { Redis: typeof Redis }).Redis;
}
