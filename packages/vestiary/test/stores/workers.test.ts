import { generateKeyPairSync, sign } from 'node:crypto';
import { readdir } from 'node:fs/promises';

import { Miniflare, Response as WorkerResponse } from 'miniflare';
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

/** The modules of an app with this main module. */
async function modulesWith(
	contents: string
): Promise<{ type: 'CompiledWasm' | 'ESModule'; path: string; contents?: string }[]> {
	const files = await readdir(dist, { recursive: true });
	const modules = files
		.filter((file) => /\.(js|wasm)$/.test(file))
		.filter((file) => !/index\.js$|edge-light|inline|sqlite|opentelemetry|testing/.test(file))
		.map((file) => ({
			type: file.endsWith('.wasm') ? ('CompiledWasm' as const) : ('ESModule' as const),
			path: `${dist}${file}`
		}));
	return [{ type: 'ESModule', path: `${dist}worker.js`, contents }, ...modules];
}

/** Before 2025, a Worker had no `FinalizationRegistry`, so linear memory is never freed automatically. */
describe.each(['2024-09-23', '2026-07-30'])('in workerd, as of %s', (compatibilityDate) => {
	let workerd: Miniflare;

	beforeAll(async () => {
		workerd = new Miniflare({
			compatibilityDate,
			modulesRoot: dist,
			modules: await modulesWith(WORKER),
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

/** The endpoint for the provider's logout, with the keys of the provider's metadata. */
const LOGOUT = `
	import { backChannelLogout, MemoryStore, sveltekitSessionHandle } from './index.workerd.js';

	const handle = sveltekitSessionHandle({
		secret: 'a secret of more than 32 bytes, for the test',
		store: new MemoryStore()
	});
	const logout = backChannelLogout({ issuer: 'https://login.example', clientId: 'app' });

	export default {
		fetch(request) {
			const event = {
				url: new URL(request.url),
				request,
				locals: {},
				cookies: { set() {}, delete() {}, serialize: () => 'sample=; Path=/; Secure' },
				fetch: () => new Response()
			};
			return handle({ event, resolve: logout });
		}
	};
`;

test('in workerd, a logout of the provider is checked with the keys of its metadata', async () => {
	const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
	const answers: Record<string, object> = {
		'/.well-known/openid-configuration': {
			issuer: 'https://login.example',
			jwks_uri: 'https://login.example/keys'
		},
		'/keys': { keys: [publicKey.export({ format: 'jwk' })] }
	};
	const workerd = new Miniflare({
		compatibilityDate: '2024-09-23',
		modulesRoot: dist,
		modules: await modulesWith(LOGOUT),
		outboundService: ({ url }: { url: string }) =>
			WorkerResponse.json(answers[new URL(url).pathname])
	});
	try {
		const now = Math.floor(Date.now() / 1_000);
		const send = async (jti: string): Promise<number> => {
			const part = (value: object): string =>
				Buffer.from(JSON.stringify(value)).toString('base64url');
			const text = `${part({ alg: 'ES256' })}.${part({
				iss: 'https://login.example',
				aud: 'app',
				iat: now,
				exp: now + 120,
				jti,
				sid: 's1',
				events: { 'http://schemas.openid.net/event/backchannel-logout': {} }
			})}`;
			const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
			const signature = sign('sha256', Buffer.from(text), key).toString('base64url');
			const response = await workerd.dispatchFetch('https://app.example/logout', {
				method: 'POST',
				body: new URLSearchParams({ logout_token: `${text}.${signature}` })
			});
			await response.arrayBuffer();
			return response.status;
		};
		// Requests that wait for one answer of the provider.
		expect(await Promise.all(['1', '2', '3'].map(send))).toEqual([200, 200, 200]);
		expect(await send('4')).toBe(200);
		expect(await send('4')).toBe(400);
	} finally {
		await workerd.dispose();
	}
}, 60_000);
