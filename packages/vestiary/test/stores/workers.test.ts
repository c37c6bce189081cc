import { readdir } from 'node:fs/promises';

import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const dist = new URL('../../dist/', import.meta.url).pathname;

/** An app that makes everything anew in every request, as one does whose bindings come with the request. */
const WORKER = `
	import { sveltekitSessionHandle } from './index.workerd.js';
	import { KvStore } from './stores/cloudflare-kv.js';
	import { memory } from './wasm/instance.js';

	let puts = 0;
	const secret = 'a secret of more than 32 bytes, for the test';

	async function request(env, cookie, save) {
		const handle = sveltekitSessionHandle({
			secret,
			store: new KvStore({
				client: {
					getWithMetadata: (key, options) => env.SESSIONS.getWithMetadata(key, options),
					delete: (key) => env.SESSIONS.delete(key),
					put: (...args) => {
						puts++;
						return env.SESSIONS.put(...args);
					}
				}
			}),
			cookie: { maxAge: 3600 },
			rolling: true
		});
		const url = new URL('https://app.example/');
		const headers = new Headers(cookie ? { cookie } : {});
		const event = {
			url,
			request: { headers, method: 'GET' },
			locals: {},
			cookies: { set() {}, delete() {}, serialize: () => 'sample=; Path=/; Secure' },
			fetch: () => new Response()
		};
		const response = await handle({
			event,
			resolve: async () => {
				if (save) await event.locals.session.save();
				return new Response(String(event.locals.session.isNew));
			}
		});
		const set = response.headers.get('set-cookie')?.split(';', 1)[0];
		return { cookie: set ?? cookie, isNew: (await response.text()) === 'true' };
	}

	/** A default store is there in the next request. */
	async function login(cookie) {
		const handle = sveltekitSessionHandle({ secret, name: 'default' });
		const event = {
			url: new URL('https://app.example/'),
			request: { headers: new Headers(cookie ? { cookie } : {}), method: 'GET' },
			locals: {},
			cookies: { set() {}, delete() {}, serialize: () => 'sample=; Path=/; Secure' },
			fetch: () => new Response()
		};
		const response = await handle({
			event,
			resolve: async () => {
				if (!cookie) await event.locals.session.login('ada');
				return new Response(event.locals.session.userId);
			}
		});
		return response;
	}

	export default {
		async fetch(request_, env) {
			const first = await request(env, undefined, true);
			const before = memory.buffer.byteLength;
			const touchedBefore = puts;
			let known = 0;
			for (let n = 0; n < 12_000; n++) {
				// Reading KV is the test's own time, so most visitors have no cookie.
				const { isNew } = await request(env, n % 100 === 0 ? first.cookie : undefined, false);
				if (!isNew) known++;
			}
			const response = await login();
			const again = await login(response.headers.get('set-cookie').split(';', 1)[0]);
			return Response.json({
				grown: memory.buffer.byteLength - before,
				touches: puts - touchedBefore,
				known,
				user: await again.text()
			});
		}
	};
`;

/** Before 2025, a Worker had no `FinalizationRegistry`, so linear memory is never freed automatically. */
describe.each(['2024-09-23', '2026-07-30'])('in workerd, as of %s', (compatibilityDate) => {
	let workerd: Miniflare;

	beforeAll(async () => {
		const files = await readdir(dist, { recursive: true });
		const modules = files
			.filter((file) => /\.(js|wasm)$/.test(file))
			.filter(
				(file) => !/index\.js$|edge-light|inline|sqlite|opentelemetry|testing/.test(file)
			)
			.map((file) => ({
				type: file.endsWith('.wasm') ? ('CompiledWasm' as const) : ('ESModule' as const),
				path: `${dist}${file}`
			}));
		workerd = new Miniflare({
			compatibilityDate,
			modulesRoot: dist,
			modules: [{ type: 'ESModule', path: `${dist}worker.js`, contents: WORKER }, ...modules],
			kvNamespaces: ['SESSIONS']
		});
	}, 60_000);

	afterAll(() => workerd.dispose());

	test('handles that are made in every request lose no memory, and know their sessions', async () => {
		const response = await workerd.dispatchFetch('https://app.example/');
		expect(await response.json()).toMatchObject({ grown: 0, known: 120, user: 'ada' });
	}, 120_000);

	test('and touch a session once, after the client is known to be made anew', async () => {
		const response = await workerd.dispatchFetch('https://app.example/');
		const { touches } = (await response.json()) as { touches: number };
		expect(touches).toBeLessThan(20);
	}, 120_000);
});
