import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { BoundBrowser } from '../bound-browser.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { freePort, serveBuilt, serveDev, type Server } from './run.js';
import { secureProxy, type SecureProxy } from './secure-proxy.js';

/* docs/how-to/device-bound-sessions.md in real Chromium. Its keys are software keys for tests. */

const BINDS =
	'--enable-features=DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting';

const COOKIE = 'connect.sid';
const BOUND = 'connect.sid.bound';
const REGISTER = 'POST /device-session/register';
const REFRESH = 'POST /device-session/refresh';

/** Shows the session of a request, and ends all sessions of the user, as from another server. */
const FILES = {
	'src/routes/state/+server.ts': `import { sessions } from 'vestiary';
import { SqliteStore } from 'vestiary/sqlite';

let users;
const of = (user) =>
	(users ??= sessions({
		secret: process.env.SESSION_SECRET,
		store: new SqliteStore({ database: 'sessions.db' })
	})).of(user);

export const GET = async ({ locals: { session } }) =>
	Response.json({
		user: session.userId ?? null,
		bound: session.bound,
		listed: (await of('1').list()).map(({ bound }) => bound)
	});

export const DELETE = async () => {
	await of('1').revokeAll();
	return new Response('ended');
};
`,
	'src/routes/echo/+server.ts': `export const POST = async ({ locals, request }) =>
	new Response(await request.text() + ' of ' + locals.session.userId);
`,
	'src/routes/vault/+page.svelte': `<script>
	let { data } = $props();
</script>

<p>vault of {data.userId}</p>
`
};

/** A login in a hook, which throws its redirect. */
const SSO = `
import { redirect } from '@sveltejs/kit';

async function sso({ event, resolve }) {
	if (event.url.pathname !== '/sso') return resolve(event);
	await event.locals.session.login('1');
	redirect(303, '/state');
}
`;

const HANDLE = `
import { sequence } from '@sveltejs/kit/hooks';

export const handle = sequence(session, sso);
`;

/** The session of a request. */
interface State {
	user: string | null;
	bound: boolean;
	listed: boolean[];
}

/** The session of the browser's next request, which the browser holds back if the bound cookie is missing. */
async function stateOf({ page }: FreshChromium): Promise<State> {
	return page.evaluate(async () => (await (await fetch('/state')).json()) as State);
}

async function cookiesOf({ browser }: FreshChromium): Promise<string[]> {
	return (await browser.cookies()).map(({ name }) => name).sort();
}

describe.each(NEW_APPS)('$name, with the pages of docs/how-to/device-bound-sessions.md', (kit) => {
	const version = kit.name === 'new-kit3' ? 3 : 2;
	let folder: string;
	let proxy: SecureProxy;
	let server: Server;
	/** The visitor's browser, and one with a profile of its own. */
	let owner: FreshChromium;
	let other: FreshChromium;

	beforeAll(async () => {
		folder = await newApp(kit, 'device-bound');
		await follow('docs/tutorial.md', folder, version);
		const files = await follow('docs/how-to/device-bound-sessions.md', folder, version);
		expect(files).toContain('src/routes/vault/+page.server.ts');
		const edit = async (name: string, part: string, by: string): Promise<void> => {
			const text = await readFile(join(folder, name), 'utf8');
			expect(text).toContain(part);
			await writeFile(join(folder, name), text.replace(part, by));
		};
		// The shortest times, so that a test can wait for their end.
		const times = 'deviceBound: { maxAge: 30 }, renewGrace: 1';
		await edit('src/hooks.server.ts', 'deviceBound: true', times);
		if (version === 3)
			await edit(
				'src/hooks.server.ts',
				'sequence(session, checkOrigin)',
				'sequence(session, checkOrigin, sso)'
			);
		else
			await edit(
				'src/hooks.server.ts',
				'export const handle = sveltekitSessionHandle(',
				'const session = sveltekitSessionHandle('
			);
		await appendFile(join(folder, 'src/hooks.server.ts'), SSO + (version === 3 ? '' : HANDLE));
		if (version === 3)
			await edit(
				'vite.config.ts',
				'experimental:',
				"csrf: { trustedOrigins: ['*'] }, experimental:"
			);
		for (const [name, text] of Object.entries(FILES)) {
			await mkdir(dirname(join(folder, name)), { recursive: true });
			await writeFile(join(folder, name), text);
		}
		const port = await freePort();
		proxy = await secureProxy(port);
		server = await serveBuilt(folder, port, { ORIGIN: proxy.origin });
		owner = await freshChromium([BINDS, proxy.trust]);
		other = await freshChromium([BINDS, proxy.trust]);
	});
	afterAll(async () => {
		await owner.close();
		await other.close();
		await server.stop();
		await proxy.stop();
	});

	const logIn = async (page: Page, origin = proxy.origin): Promise<void> => {
		await page.goto(`${origin}/login`, { waitUntil: 'networkidle' });
		await page.getByLabel('Name').fill('ada');
		await page.getByLabel('Password').fill('lovelace');
		await page.getByRole('button', { name: 'Log in' }).click();
		await page.waitForURL(`${origin}/`);
	};

	/** Logs in, and waits until the browser has bound the session. */
	const bind = async (browser: FreshChromium, origin?: string): Promise<void> => {
		await logIn(browser.page, origin);
		await expect.poll(async () => cookiesOf(browser)).toEqual([COOKIE, BOUND]);
	};

	/** The requests since the last call, to the two addresses. */
	const proofs = (): string[] =>
		proxy.requests.splice(0).filter((one) => one.includes('/device-session/'));

	test('a login whose redirect a hook throws is bound by the next response', async () => {
		proofs();
		await owner.page.goto(`${proxy.origin}/sso`);
		expect(owner.page.url()).toBe(`${proxy.origin}/state`);
		await expect.poll(async () => cookiesOf(owner)).toEqual([COOKIE, BOUND]);
		expect(proofs()).toContain(`${REGISTER} 200`);
		expect(await stateOf(owner)).toMatchObject({ user: '1', bound: true });
		await owner.page.evaluate(async () => fetch('/state', { method: 'DELETE' }));
		await owner.browser.clearCookies();
	});

	test('a login is bound, and stays so when its cookie was refreshed', async () => {
		proofs();
		await bind(owner);
		expect(proofs()).toContain(`${REGISTER} 200`);
		expect(await stateOf(owner)).toEqual({ user: '1', bound: true, listed: [true] });
		await owner.page.goto(`${proxy.origin}/vault`);
		await owner.page.getByText('vault of 1').waitFor();

		await owner.browser.clearCookies({ name: BOUND });
		proofs();
		expect(await stateOf(owner)).toMatchObject({ user: '1', bound: true });
		expect(proofs()).toContain(`${REFRESH} 200`);
		expect(await cookiesOf(owner)).toEqual([COOKIE, BOUND]);
	});

	test('requests that the browser holds back keep their bodies', async () => {
		await owner.browser.clearCookies({ name: BOUND });
		proofs();
		const texts = await owner.page.evaluate(async () => {
			const post = async (body: string): Promise<string> =>
				(await fetch('/echo', { method: 'POST', body })).text();
			return Promise.all([post('one'), post('two'), post('three')]);
		});
		expect(texts).toEqual(['one of 1', 'two of 1', 'three of 1']);
		expect(await cookiesOf(owner)).toEqual([COOKIE, BOUND]);
	});

	test('a copy of the cookies is dead when the bound cookie has ended', async () => {
		const jar = await owner.browser.cookies();
		await other.browser.addCookies(jar);
		await other.page.goto(proxy.origin);
		expect(await stateOf(other)).toMatchObject({ user: '1', bound: true });
		const cookie = jar.map(({ name, value }) => `${name}=${value}`).join('; ');
		const ends = Number(jar.find(({ name }) => name === BOUND)?.value.split('.')[0]);

		// Without a request, the owner's browser does not refresh either.
		await expect
			.poll(async () => cookiesOf(other), { timeout: 90_000, interval: 1_000 })
			.toEqual([COOKIE]);
		await expect.poll(() => Date.now(), { timeout: 10_000 }).toBeGreaterThan(ends + 1_000);
		proofs();
		expect(await stateOf(other)).toMatchObject({ user: null, bound: false });
		expect(proofs()).toEqual([]);
		expect(server.output()).toContain('/state: bound session, missing');

		// A script sends what it likes. It can ask what to sign, and has no key that is good for it.
		const script = async (path: string, more?: Record<string, string>): Promise<Response> => {
			const headers = { cookie, 'sec-secure-session-id': proxy.binding(), ...more };
			return fetch(server.url + path, { method: more ? 'POST' : 'GET', headers });
		};
		const refresh = '/device-session/refresh';
		expect(await (await script('/state')).json()).toMatchObject({ user: null });
		const asked = await script(refresh, {});
		const [, challenge = ''] =
			/^"([\w-]{32})";/.exec(asked.headers.get('secure-session-challenge') ?? '') ?? [];
		expect([asked.status, challenge.length]).toEqual([403, 32]);
		const thief = await BoundBrowser.open(async () => new Response());
		thief.challenge = challenge;
		const refused = await script(refresh, { 'secure-session-response': await thief.proof() });
		expect([refused.status, refused.headers.getSetCookie()]).toEqual([400, []]);
		expect(server.output()).toContain('/device-session/refresh: bound session, refused');

		expect(await stateOf(owner)).toMatchObject({ user: '1', bound: true });
		expect(proofs()).toContain(`${REFRESH} 200`);
		expect(await stateOf(other)).toMatchObject({ user: null });
	});

	/**
	 * Checks that the browser has learned that its session has ended: it refreshes no longer. That may take a request, which
	 * it holds back because the bound cookie is missing.
	 */
	const hasForgotten = async (browser: FreshChromium): Promise<void> => {
		const anonymous = { user: null, bound: false, listed: [] };
		await browser.browser.clearCookies({ name: BOUND });
		expect(await stateOf(browser)).toEqual(anonymous);
		await expect.poll(() => proxy.requests).toContain(`${REFRESH} 400`);
		proofs();
		expect(await stateOf(browser)).toEqual(anonymous);
		expect(proofs()).toEqual([]);
	};

	test('after a logout, the browser refreshes no longer', async () => {
		await owner.page.goto(proxy.origin);
		proofs();
		await owner.page.getByRole('button', { name: 'Log out' }).click();
		await owner.page.getByRole('link', { name: 'Log in' }).waitFor();
		await hasForgotten(owner);
	});

	test('a session that another server has revoked ends, and the next login is bound', async () => {
		await bind(owner);
		expect(await stateOf(owner)).toMatchObject({ user: '1', bound: true });
		proofs();
		const headers = { origin: proxy.origin };
		await fetch(`${server.url}/state`, { method: 'DELETE', headers });
		await hasForgotten(owner);
		await bind(owner);
		expect(await stateOf(owner)).toEqual({ user: '1', bound: true, listed: [true] });
	});

	test('a browser that binds no sessions works as before, but for pages that need it', async () => {
		const plain = await freshChromium([proxy.trust]);
		proofs();
		await logIn(plain.page);
		expect(await stateOf(plain)).toMatchObject({ user: '1', bound: false });
		expect(await cookiesOf(plain)).toEqual([COOKIE]);
		const vault = await plain.page.goto(`${proxy.origin}/vault`);
		expect(vault?.status()).toBe(403);
		await plain.page.goto(`${proxy.origin}/account`);
		expect(proofs()).toEqual([]);
		await plain.close();
	});

	test('a login is bound in development, too, at http://localhost', async () => {
		const dev = await serveDev(folder);
		const developer = await freshChromium([BINDS]);
		// At the first visit, Vite bundles the page's imports, and then reloads the page.
		await developer.page.goto(`${dev.url}/login`, { waitUntil: 'networkidle' });
		await bind(developer, dev.url);
		// A page that needs a bound session.
		await developer.page.goto(`${dev.url}/vault`);
		await developer.page.getByText('vault of 1').waitFor();
		await developer.close();
		await dev.stop();
	});

	test('a form of another site is refused', async () => {
		const post = async (origin: string | undefined, type: string): Promise<number> => {
			const headers = { ...(origin !== undefined && { origin }), 'content-type': type };
			const body = 'name=ada&password=wrong';
			const url = `${server.url}/login?/login`;
			return (await fetch(url, { method: 'POST', headers, body, redirect: 'manual' })).status;
		};
		const form = 'application/x-www-form-urlencoded';
		expect(await post('https://evil.example', form)).toBe(403);
		expect(await post(undefined, form)).toBe(403);
		expect(await post('https://evil.example', 'text/plain;charset=x')).toBe(403);
		expect(await post(proxy.origin, form)).not.toBe(403);
	});
});

test('SvelteKit 3 refuses what the browser sends by itself, unless a proxy names a type', async () => {
	const [kit] = NEW_APPS;
	if (kit?.name !== 'new-kit3') throw new Error('SvelteKit 3 is the first one');
	const folder = await newApp(kit, 'device-bound-refused');
	await follow('docs/tutorial.md', folder, 3);
	const hooks = join(folder, 'src/hooks.server.ts');
	const text = await readFile(hooks, 'utf8');
	await writeFile(hooks, text.replace('rolling: true', 'deviceBound: true'));
	const server = await serveBuilt(folder);
	const ask = async (headers: Record<string, string>): Promise<[number, string]> => {
		const url = `${server.url}/device-session/refresh`;
		const response = await fetch(url, { method: 'POST', headers });
		return [response.status, await response.text()];
	};
	try {
		const [status, reason] = await ask({});
		expect(status).toBe(403);
		expect(reason).toContain('Cross-site POST form submissions are forbidden');
		expect(await ask({ 'content-type': 'application/json' })).toEqual([400, '']);
	} finally {
		await server.stop();
	}
});
