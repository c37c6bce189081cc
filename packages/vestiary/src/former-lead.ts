import { Answer, Step } from './generated/vestiary.js';
import type { StoreCall, StoreCalls } from './store-calls.js';
import type { StoreOperation } from './types.js';

/**
 * The record that leads from a session of another library to the one that has taken its place. Its key is a hash of the
 * session's name, and the cookie in it is encrypted with a key from the old cookie: a dump of the store is not enough to log in.
 */
export class FormerLead {
	readonly #calls: StoreCalls;
	readonly #key: string;
	readonly #cipher: CryptoKey;

	private constructor(calls: StoreCalls, key: string, cipher: CryptoKey) {
		this.#calls = calls;
		this.#key = key;
		this.#cipher = cipher;
	}

	static async of(
		calls: StoreCalls,
		name: string,
		id: string,
		cookies: ReadonlyMap<string, string>
	): Promise<FormerLead> {
		const key = await digest(`vestiary former session\n${name}\n${id}`);
		const secret = await digest(`vestiary former cookie\n${JSON.stringify([...cookies])}`);
		const cipher = await crypto.subtle.importKey('raw', secret, 'AES-GCM', false, [
			'encrypt',
			'decrypt'
		]);
		return new FormerLead(calls, `former-${base64(key)}`, cipher);
	}

	/**
	 * The cookie, as a browser sends it. Undefined if the session was not taken over; empty if the cookie cannot be read. The
	 * record then lasts for the TTL again: a library may prolong its session whenever it is read.
	 */
	async read(ttl: number): Promise<string | undefined> {
		const { answer, text = '' } = await this.#call('read', { step: Step.Load });
		if (answer === Answer.Gone) return undefined;
		await this.#call('touch', { step: Step.Touch, ttl });
		try {
			const { data } = JSON.parse(text) as { data: { former: string } };
			const sealed = Uint8Array.from(atob(data.former), (one) => one.charCodeAt(0));
			const [iv, rest] = [sealed.subarray(0, 12), sealed.subarray(12)];
			const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, this.#cipher, rest);
			return new TextDecoder().decode(opened);
		} catch {
			// The old cookie was written in another way. The browser that it was made for sends it unchanged.
			return '';
		}
	}

	/** Stores the cookie unless another request has done so. Returns whether this one did. */
	async write(pair: string, ttl: number): Promise<boolean> {
		const iv = crypto.getRandomValues(new Uint8Array(12));
		const plain = new TextEncoder().encode(pair);
		const rest = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, this.#cipher, plain);
		const former = base64(new Uint8Array([...iv, ...new Uint8Array(rest)]));
		const text = JSON.stringify({ cookie: {}, data: { former } });
		const { answer } = await this.#call('write', { step: Step.Create, text, ttl });
		return answer === Answer.Done;
	}

	async #call(
		action: StoreOperation,
		call: Partial<StoreCall> & Pick<StoreCall, 'step'>
	): Promise<{ answer: Answer; text?: string | undefined }> {
		const failures: unknown[] = [];
		// Owned, so that a full store does not evict it: the old cookie would count again.
		const whole = { key: this.#key, text: '', expected: null, ttl: 0, owned: true, ...call };
		const reply = await this.#calls.make(whole, action, failures);
		if (failures.length > 0) throw failures[0];
		return reply;
	}
}

async function digest(text: string): Promise<Uint8Array<ArrayBuffer>> {
	return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

function base64(bytes: Uint8Array): string {
	return btoa(String.fromCharCode(...bytes));
}
