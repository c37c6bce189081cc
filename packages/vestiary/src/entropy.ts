const pool = { bytes: new Uint8Array(16 << 10), used: Infinity, drawn: 0 };

/**
 * Random bytes out of a pool: to ask the host for a few takes as long as for many, and longer than all else
 * that a write does. After a second it is filled anew, so that two processes that were made of one by
 * copying its memory do not write the same marks.
 */
export function marks(length: number): Uint8Array {
	const now = Date.now();
	if (pool.used + length > pool.bytes.length || Math.abs(now - pool.drawn) > 1_000) {
		crypto.getRandomValues(pool.bytes);
		pool.drawn = now;
		pool.used = 0;
	}
	return pool.bytes.subarray(pool.used, (pool.used += length));
}
