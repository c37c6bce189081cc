import type { RequestEvent } from '@sveltejs/kit';
import { expect } from 'vitest';

import { Device, newKey } from './bound-browser.js';
import { testEvent } from './event.js';
import type { Step } from './scenario.js';

type Prove = Extract<Step, { step: 'prove' }>;

const BOUND = 'sid.bound=';

/** The keys, challenges and bound cookies of the browsers in a scenario. */
export class Devices {
	/** The challenges that logins have offered, and the paths to answer at, by browser. */
	readonly #offers = new Map<string, { challenge: string; path: string }>();
	readonly #devices = new Map<string, Device>();
	/** The last proofs of their own. */
	readonly #proofs = new Map<string, string>();
	/** The bound cookies. */
	readonly #bound = new Map<string, string>();

	/** The `Cookie` header of a browser with this session cookie. */
	header(browser: string, session: string | undefined): string | undefined {
		const bound = this.#bound.get(browser);
		const pairs = [
			...(session === undefined ? [] : [`sid=${session}`]),
			...(bound === undefined ? [] : [BOUND + bound])
		];
		return pairs.length > 0 ? pairs.join('; ') : undefined;
	}

	/** Gives a browser the bound cookie of another one, or none. */
	copy(browser: string, from: string | undefined): void {
		const bound = this.#bound.get(from ?? '');
		this.#bound.delete(browser);
		if (bound !== undefined) this.#bound.set(browser, bound);
	}

	/** Takes the offer of a response, which must have one or none. */
	offered(browser: string, { headers }: Response, expected: boolean, where: string): void {
		const header = headers.get('secure-session-registration');
		expect(header !== null, `offers of ${where}`).toBe(expected);
		const [, path, challenge] =
			/^\(ES256\);path="(.+)\/register";challenge="([\w-]+)"$/.exec(header ?? '') ?? [];
		if (path !== undefined && challenge !== undefined)
			this.#offers.set(browser, { path, challenge });
	}

	/** The request of a browser that proves its device. */
	async request(step: Prove, session: string | undefined): Promise<RequestEvent> {
		const { browser, as, with: kind = 'own' } = step;
		const registers = as === 'registers';
		if (registers && kind === 'own') this.#devices.set(browser, new Device(await newKey()));
		const device = this.#devices.get(browser) ?? new Device(await newKey());
		const { path, challenge } = this.#offers.get(browser) ?? {
			path: '/device-session',
			challenge: ''
		};
		if (registers && kind !== 'again') device.challenge = challenge;
		const key = kind === 'forged' ? (await newKey()).privateKey : undefined;
		const proof =
			kind === 'again'
				? this.#proofs.get(browser)
				: await device.proof({ ...(key && { key }) }, registers);
		if (kind === 'own' && proof !== undefined) this.#proofs.set(browser, proof);
		const url = `https://app.example${path}/${registers ? 'register' : 'refresh'}`;
		const { event } = testEvent(this.header(browser, session), url);
		const { headers } = event.request;
		if (kind !== 'none') headers.set('secure-session-response', proof ?? '');
		if (!registers) headers.set('sec-secure-session-id', device.identifier);
		Object.assign(event.request, { method: 'POST' });
		return event;
	}

	/** Takes the answer. Gives it without the bound cookie. */
	async answered(
		browser: string,
		response: Response,
		gives: string,
		where: string
	): Promise<Response> {
		const rest = new Response(null, response);
		const device = this.#devices.get(browser) ?? new Device(await newKey());
		const { status, challenge, cookies } = await device.answered(response);
		const bound = cookies.find((one) => one.startsWith(BOUND));
		const parts = [status, challenge !== undefined, bound !== undefined].join();
		expect(ANSWERS[parts] ?? parts, `answer of ${where}`).toBe(gives);
		expect(response.headers.get('cache-control'), where).toBe('no-store');
		if (bound !== undefined)
			this.#bound.set(browser, bound.slice(BOUND.length).split(';', 1)[0] ?? '');
		rest.headers.delete('set-cookie');
		for (const one of cookies) if (one !== bound) rest.headers.append('set-cookie', one);
		return rest;
	}
}

/** The answers by their status, and whether they have a challenge and the bound cookie. */
const ANSWERS: Readonly<Record<string, string>> = {
	'200,true,true': 'bound',
	'403,true,false': 'asked',
	'400,false,false': 'refused',
	'503,false,false': 'unavailable'
};
