import '../server-only.js';

import { redacted } from '../cause.js';
import { building } from '../environment.js';
import { ConfigError, StoreError } from '../errors.js';
import type {
	AtomicOperations,
	AtomicOutcome,
	Serializer,
	SessionStoreData,
	Store
} from '../types.js';
import { readBoth } from './both.js';
import { checkCommon, checkObject, has } from './check.js';
import { isRemote } from './client.js';
import { full, millis, parsed, type StoreOptions } from './options.js';

/** A namespace of Durable Objects of the class `SessionObject`, as far as the store uses it. */
export interface SessionNamespace {
	idFromName(name: string): object;
	get(id: object): SessionStub;
}

/** The operations of a `SessionObject`, as its Worker calls them. */
export interface SessionStub {
	read(): PromiseLike<string | null>;
	set(text: string, ttl: number): PromiseLike<void>;
	create(text: string, ttl: number): PromiseLike<boolean>;
	replace(writeId: string | null, text: string, ttl: number): PromiseLike<AtomicOutcome>;
	touch(ttl: number): PromiseLike<boolean>;
	touchExpected(writeId: string | null, ttl: number): PromiseLike<AtomicOutcome>;
	remove(writeId: string | null): PromiseLike<AtomicOutcome>;
	destroy(): PromiseLike<void>;
	now(): PromiseLike<number>;
	stamp(
		text: string,
		ttl: number
	): PromiseLike<{ readonly time: number; readonly before: string | null } | null>;
}

/** Options of a {@link DurableObjectStore}. */
export interface DurableObjectStoreOptions extends StoreOptions {
	/** The binding of the namespace, which comes with the request: `platform.env.SESSIONS`. */
	client: SessionNamespace;
}

/**
 * Keeps sessions in Cloudflare Durable Objects: each record in an object of its own, so that no object is a bottleneck.
 *
 * Each operation is one call of one object, and atomic. A user's session and session list are in two objects, which are
 * read at the same time, so the visitor waits for one round trip. TTLs and the order of logins go by Cloudflare's
 * clock.
 *
 * The objects' class is `SessionObject` of `vestiary/durable-objects/object`. The Worker exports it from its main
 * module; only Workers can import it.
 */
export class DurableObjectStore implements Store {
	readonly client: SessionNamespace;
	readonly prefix: string;
	readonly serializer: Serializer;
	readonly ttl: number;
	readonly atomic: AtomicOperations | undefined;

	constructor(options: DurableObjectStoreOptions) {
		checkNamespace(options);
		checkCommon('DurableObjectStore', options, ['client']);
		this.client = options.client;
		({ prefix: this.prefix, serializer: this.serializer, ttl: this.ttl } = full(options));
		isRemote(this, { kind: this.constructor, prefix: this.prefix, client: this.client });
		// A serializer may put the write ID where it cannot be found.
		this.atomic = this.serializer === JSON ? this.#operations() : undefined;
	}

	async get(id: string): Promise<SessionStoreData | null> {
		const text = await this.#read(id);
		return text === null ? null : parsed(this.serializer, text);
	}

	async set(id: string, storeData: SessionStoreData, ttl: number): Promise<void> {
		const life = millis(ttl, this.ttl);
		if (life === 0) return this.destroy(id);
		const text = this.serializer.stringify(storeData);
		await this.#ask(id, (object) => object.set(text, life));
	}

	async destroy(id: string): Promise<void> {
		await this.#ask(id, (object) => object.destroy());
	}

	async touch(id: string, ttl: number): Promise<void> {
		await this.#ask(id, (object) => object.touch(millis(ttl, this.ttl)));
	}

	#operations(): AtomicOperations {
		const life = (ttl: number): number => millis(ttl, this.ttl);
		return {
			resends: false,
			ttl: this.ttl,
			now: async (id) => this.#ask(id, (object) => object.now()),
			read: async (id) => this.#read(id),
			readTwo: async (one, other) => readBoth(async (id) => this.#read(id), one, other),
			create: async (id, text, ttl) =>
				this.#ask(id, (object) => object.create(text, life(ttl))),
			replace: async (id, writeId, text, ttl) =>
				this.#ask(id, (object) => object.replace(writeId, text, life(ttl))),
			touchCompares: true,
			touch: async (id, ttl, writeId) =>
				this.#ask<boolean | AtomicOutcome>(id, (object) =>
					writeId === undefined
						? object.touch(life(ttl))
						: object.touchExpected(writeId, life(ttl))
				),
			remove: async (id, writeId) => this.#ask(id, (object) => object.remove(writeId)),
			stamp: async (id, text, ttl) => {
				const stamped = await this.#ask(id, (object) => object.stamp(text, life(ttl)));
				return stamped && [stamped.time, stamped.before];
			}
		};
	}

	async #read(id: string): Promise<string | null> {
		return this.#ask(id, (object) => object.read());
	}

	/** Calls the object of a record. The stub is made anew, since one that has failed may be broken. */
	async #ask<T>(id: string, call: (object: SessionStub) => PromiseLike<T>): Promise<T> {
		try {
			return await call(this.client.get(this.client.idFromName(this.prefix + id)));
		} catch (error) {
			throw explained(error);
		}
	}
}

/** The error for an error of an object: itself, unless something is known about it. */
function explained(error: unknown): unknown {
	const { message, overloaded } = (error ?? {}) as { message?: unknown; overloaded?: unknown };
	const refused = (text: string): StoreError =>
		new StoreError('store_failed', text, { cause: redacted(error), refused: true });
	if (overloaded === true)
		return refused('the Durable Object has too many requests to answer this one');
	if (typeof message !== 'string') return error;
	if (message.includes('does not implement the method'))
		return refused(
			"the class of the Durable Objects must be `SessionObject` of 'vestiary/durable-objects/object', of the same version as the store"
		);
	if (message.includes('new_sqlite_classes'))
		return refused(
			'the class of the Durable Objects must be in `new_sqlite_classes` of wrangler.jsonc, not in `new_classes`'
		);
	return error;
}

function checkNamespace(options: DurableObjectStoreOptions): void {
	const usage = '`new DurableObjectStore({ client })`';
	const methods = ['idFromName', 'get'];
	if (has(options, methods))
		throw new ConfigError(
			'options',
			`\`new DurableObjectStore(namespace)\` must be ${usage}: the namespace is one of the options`
		);
	checkObject('DurableObjectStore', options, usage);
	const { client } = options as Partial<DurableObjectStoreOptions>;
	if (has(client, methods) || (building && client === undefined)) return;
	throw new ConfigError(
		'options',
		`${usage}: \`client\` must be the binding of a namespace of Durable Objects, such as \`platform.env.SESSIONS\`: add the class \`SessionObject\` by this name to \`durable_objects\` in wrangler.jsonc, or correct the name; \`vite dev\` has none of the app's own Worker`
	);
}

export default DurableObjectStore;
