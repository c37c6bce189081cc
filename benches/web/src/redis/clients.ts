import { createRequire } from 'node:module';

import type { Redis } from 'ioredis';

/** ioredis as the package imports it: a store may check the class of its client. */
export function loadedBy(name: string): typeof Redis {
	const require = createRequire(import.meta.resolve(name));
	return (require('ioredis') as { Redis: typeof Redis }).Redis;
}
