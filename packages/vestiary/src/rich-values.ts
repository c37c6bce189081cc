import { ConfigError, DataError } from './errors.js';
import { changedByJson, pathOf } from './values.js';

/** A library that converts values to JSON and back. `superjson` is one. */
export interface Transformer {
	/** Converts a value to JSON, with a description of its types beside it. */
	serialize(value: unknown): { json: unknown; meta?: unknown };
	/** Converts it back. */
	deserialize(converted: { json: unknown; meta?: unknown }): unknown;
}

type Members = Record<string, unknown>;

/**
 * Converts the members of session data that JSON does not preserve, such as a `Map`, to JSON and back, by a library. A
 * member that JSON preserves is stored as it is. Any other one is stored as what the library returns: its JSON, and its
 * types beside it. So the types of a member are part of it when concurrent changes are merged.
 */
export class RichValues {
	readonly #transformer: Transformer;

	/** @throws ConfigError if the transformer cannot be used */
	constructor(transformer: Transformer) {
		for (const name of ['serialize', 'deserialize'] as const)
			if (typeof (transformer[name] as unknown) !== 'function')
				throw new ConfigError(
					'options',
					'`transformer` must have the functions `serialize` and `deserialize`, as superjson has'
				);
		this.#transformer = transformer;
	}

	/**
	 * The data as it is stored. Data that is no object has no members, and stays as it is.
	 * @throws DataError if the library cannot convert a member
	 */
	packed(data: unknown): unknown {
		if (typeof data !== 'object' || data === null || Array.isArray(data)) return data;
		return Object.fromEntries(
			Object.entries(data).map(([key, value]: [string, unknown]) => [
				key,
				changedByJson(value) || isPacked(value) ? this.#pack(key, value) : value
			])
		);
	}

	#pack(key: string, value: unknown): Packed {
		try {
			const { json, meta } = this.#transformer.serialize(value);
			return { json, meta: meta ?? null };
		} catch {
			const path = pathOf([key]);
			throw new DataError(
				'json',
				`session data must be JSON: the transformer cannot convert \`${path}\``,
				{ path }
			);
		}
	}

	/** Stored data with the values that it stands for, and the stored form of the members that cannot be read. */
	unpacked(stored: Members): { members: Members; broken: Map<string, unknown> } {
		const broken = new Map<string, unknown>();
		const read: [string, unknown][] = [];
		for (const [key, value] of Object.entries(stored)) {
			try {
				read.push([key, isPacked(value) ? this.#unpack(value) : value]);
			} catch {
				broken.set(key, value);
			}
		}
		return { members: Object.fromEntries(read), broken };
	}

	#unpack({ json, meta }: Packed): unknown {
		return this.#transformer.deserialize(meta === null ? { json } : { json, meta });
	}
}

/** The stored form of a member that JSON does not preserve. */
interface Packed {
	json: unknown;
	/** The types of the values in `json`, as the library describes them; null if it describes none. */
	meta: unknown;
}

/** Whether a value has the stored form. A value of the application that looks like it is stored in it, too. */
function isPacked(value: unknown): value is Packed {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
	return Object.keys(value).sort().join() === 'json,meta';
}
