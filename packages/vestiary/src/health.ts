import type { VestiaryError } from './errors.js';
import { Answer, Step } from './generated/vestiary.js';
import { MemoryStore } from './memory-store.js';
import type { Runtime } from './runtime.js';
import type { StoreCall, StoreReply } from './store-calls.js';
import type { StoreInfo, StoreOperation } from './types.js';

/** The condition of a store, for `/healthz`: {@link sessions}. */
export interface Health extends StoreInfo {
	/** Whether the store has stored, found and removed a record: whether sessions work. */
	readonly writable: boolean;
	/** The round-trip time of a read, in milliseconds; undefined if the store did not reply. */
	readonly latency: number | undefined;
	/** Why sessions do not work. */
	readonly error?: VestiaryError | undefined;
}

/** The TTL of the probe, in case it cannot be removed, in milliseconds. */
const PROBE_TTL = 60_000;

const WRITE_ID = 'health_check____';

const PROBE = `{"v":"${WRITE_ID}","cookie":{},"data":{}}`;

/** Stores, reads and removes a record of its own. Does not fail if the store does. */
export async function healthOf({ store, core, records }: Runtime): Promise<Health> {
	// A record more could evict a session, and a store in this process cannot be out of reach.
	if (store instanceof MemoryStore) return { writable: true, latency: 0 };
	const key = `health:${core.newId()}`;
	const failures: unknown[] = [];
	const call = async (step: Step, action: StoreOperation): Promise<StoreReply> => {
		const given: StoreCall = {
			step,
			key,
			text: PROBE,
			expected: WRITE_ID,
			ttl: PROBE_TTL,
			owned: false
		};
		return records.calls.make(given, action, failures);
	};
	const info = await infoOf(store.check?.bind(store));
	const began = performance.now();
	await call(Step.Load, 'read');
	const latency = failures.length === 0 ? performance.now() - began : undefined;
	let isFound = false;
	if (latency !== undefined) {
		const created = await call(Step.Create, 'write');
		const found = created.answer === Answer.Done && (await call(Step.Load, 'read'));
		isFound = found && found.answer === Answer.Text;
		await call(Step.Remove, 'remove');
	}
	const error = failures[0] as VestiaryError | undefined;
	return { ...info, writable: isFound && !error, latency, ...(error && { error }) };
}

/** The information that the store has about its server. A server that does not tell may be sound nevertheless. */
async function infoOf(check: (() => Promise<StoreInfo>) | undefined): Promise<StoreInfo> {
	try {
		return (await check?.()) ?? {};
	} catch {
		return {};
	}
}
