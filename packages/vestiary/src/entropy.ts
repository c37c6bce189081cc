const pool = { bytes: new Uint8Array(16 << 10), used: Infinity, drawn: 0 };

/**
 * Random bytes for write IDs, from a pool: the host takes as long for a few bytes as for many, and longer than the rest of
 * a write. The pool is refilled after a second, so that two processes that were cloned from one memory image do not
 * share write IDs.
 */
export function writeIdBytes(length: number): Uint8Array {
	const now = Date.now();
	if (pool.used + length > pool.bytes.length || Math.abs(now - pool.drawn) > 1_000) {
		crypto.getRandomValues(pool.bytes);
		pool.drawn = now;
		pool.used = 0;
	}
	return pool.bytes.subarray(pool.used, (pool.used += length));
}
