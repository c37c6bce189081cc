import type { RequestEvent } from '@sveltejs/kit';

import type { Handle, Kit, KitRequest } from '../kit-request.ts';
import type { App, Data, Exchange, Work } from './peer.ts';

/** An endpoint's work with the session; returns the data that it read or left. */
export type Endpoint = (event: RequestEvent, work: Work) => Promise<Partial<Data> | undefined>;

/** An app of SvelteKit with this hook. */
export class KitApp implements App {
	readonly #kit: Kit;
	readonly #handle: Handle;
	readonly #endpoint: Endpoint;

	constructor(kit: Kit, handle: Handle, endpoint: Endpoint) {
		this.#kit = kit;
		this.#handle = handle;
		this.#endpoint = endpoint;
	}

	exchange(cookie: string | undefined, work: Work): Exchange {
		const request = this.#kit.request(cookie);
		return new KitExchange(cookie, this.#kit, request, this.#handle, this.#endpoint, work);
	}
}

class KitExchange implements Exchange {
	readonly cookie: string | undefined;
	seen: Partial<Data> | undefined;
	readonly #kit: Kit;
	readonly #request: KitRequest;
	readonly #handle: Handle;
	readonly #endpoint: Endpoint;
	readonly #work: Work;
	#response: Response | undefined;

	constructor(
		cookie: string | undefined,
		kit: Kit,
		request: KitRequest,
		handle: Handle,
		endpoint: Endpoint,
		work: Work
	) {
		this.cookie = cookie;
		this.#kit = kit;
		this.#request = request;
		this.#handle = handle;
		this.#endpoint = endpoint;
		this.#work = work;
	}

	async run(): Promise<void> {
		const { event } = this.#request;
		this.#response = await this.#handle({
			event,
			resolve: async (event) => {
				if (this.#work !== 'nothing') this.seen = await this.#endpoint(event, this.#work);
				return this.#kit.finish(this.#request);
			}
		});
	}

	setCookies(): string[] {
		return this.#response?.headers.getSetCookie() ?? [];
	}
}
