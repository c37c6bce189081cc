/** The parts of the Workers runtime that a Durable Object uses. They are those of Cloudflare's types. */
declare module 'cloudflare:workers' {
	export abstract class DurableObject {
		protected readonly ctx: { readonly storage: DurableObjectStorage };
		constructor(ctx: unknown, env: unknown);
		alarm?(): void | Promise<void>;
	}

	interface DurableObjectStorage {
		readonly kv: {
			get(key: string): unknown;
			put(key: string, value: unknown): void;
		};
		setAlarm(time: number): Promise<void>;
		deleteAlarm(): Promise<void>;
		deleteAll(): Promise<void>;
	}
}
