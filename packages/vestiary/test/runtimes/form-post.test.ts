import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import type { BrowserContext, Page, Response } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { freshChromium, type FreshChromium } from '../../../../examples/sveltekit/e2e/chromium.js';
import { NEW_APPS, newApp } from './new-app.js';
import { follow } from './pages.js';
import { freePort, serveBuilt, type Server } from './run.js';

/** The files that the guide leaves to the reader, and an endpoint written without it. */
const FILES = {
	'src/routes/+page.server.ts': `import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => ({ user: locals.session.userId });
`,
	'src/routes/+page.svelte': `<script lang="ts">
	import type { PageProps } from './$types';

	let { data }: PageProps = $props();
</script>

<p>{data.user ? 'user ' + data.user : 'no user'}</p>
`,
	'src/routes/naive/+server.ts': `import type { RequestHandler } from '@sveltejs/kit';

export const POST: RequestHandler = async ({ locals, request }) => {
	const login = await locals.session.take('login');
	return Response.json({ cookie: request.headers.get('cookie'), hasLogin: login !== undefined });
};
`
};

interface Provider {
	issuer: string;
	/** Lines of an `.env` file, for its client. */
	env: string;
	stop: () => Promise<void>;
}

/** Starts the provider of examples/openid-connect for the app at this origin. */
async function startProvider(app: string): Promise<Provider> {
	const args = ['provider/serve.ts', '--port', `${await freePort()}`, '--app', app];
	const cwd = new URL('../../../../examples/openid-connect', import.meta.url).pathname;
	const program = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
	const ended = once(program, 'exit');
	const stop = async (): Promise<void> => {
		program.kill();
		await ended;
	};
	for await (const line of createInterface(program.stdout)) {
		// The first line of an app is about this one.
		const [, env, issuer] = /: (OIDC_ISSUER=(\S+) .+)/.exec(line) ?? [];
		if (env !== undefined && issuer !== undefined)
			return { issuer, env: env.replaceAll(' ', '\n'), stop };
	}
	throw new Error('the provider has ended');
}

/** How SvelteKit 3 reads the environment. */
const VARIABLES = ['SESSION_SECRET', 'OIDC_ISSUER', 'OIDC_CLIENT_ID', 'OIDC_CLIENT_SECRET'];
const ENV = `import { defineEnvVars } from '@sveltejs/kit/env';

const schema = (value: string | undefined) => value ?? '';
export const variables = defineEnvVars({
${VARIABLES.map((name) => `	${name}: { schema }`).join(',\n')}
});
`;

/** The text with another part in place of one that must be there. */
function replaced(text: string, part: string, by: string): string {
	expect(text).toContain(part);
	return text.replace(part, by);
}

const CALLBACK = '/login/callback';

describe.each(NEW_APPS)('$name, with the pages of docs/how-to/form-post.md', (kit) => {
	const version = kit.name === 'new-kit3' ? 3 : 2;
	let folder: string;
	let provider: Provider;
	let chromium: FreshChromium;
	let server: Server;

	beforeAll(async () => {
		folder = await newApp(kit, 'form-post');
		const port = await freePort();
		// A browser takes 127.0.0.1 and localhost for two sites.
		provider = await startProvider(`http://localhost:${port}`);

		const files = await follow('docs/how-to/form-post.md', folder, version);
		expect(files).toContain('src/routes/login/callback/+server.ts');
		for (const [name, text] of Object.entries(FILES)) {
			await mkdir(dirname(join(folder, name)), { recursive: true });
			await writeFile(join(folder, name), text);
		}
		const edit = async (name: string, part: string, by: string): Promise<void> => {
			const text = await readFile(join(folder, name), 'utf8');
			await writeFile(join(folder, name), replaced(text, part, by));
		};
		const trusted = `csrf: { trustedOrigins: ['${provider.issuer}'] },`;
		await edit('vite.config.ts', 'experimental:', `${trusted} experimental:`);
		// This provider speaks http, and takes the secret in a header.
		const login = 'src/lib/server/login.ts';
		const insecure = ', { execute: [client.allowInsecureRequests] })';
		await edit(login, 'client.ClientSecretPost', 'client.ClientSecretBasic');
		await edit(login, "?? '')\n    )", `?? '')${insecure}`);
		if (version === 3) {
			await writeFile(join(folder, 'src/env.ts'), ENV);
			const declared = "import * as env from '$app/env/private';";
			for (const name of [login, 'src/hooks.server.ts'])
				await edit(name, "import { env } from '$env/dynamic/private';", declared);
		} else {
			await edit(login, 'address, { external: true }', 'address');
		}
		const secret = 'SESSION_SECRET=gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82';
		await writeFile(join(folder, '.env'), `${secret}\n${provider.env}\n`);

		chromium = await freshChromium();
		server = await serveBuilt(folder, port);
	});
	afterAll(async () => {
		await chromium.close();
		await server.stop();
		await provider.stop();
	});

	/** A browser of its own, with no cookies. */
	const visitor = async (): Promise<{ context: BrowserContext; page: Page }> => {
		const context = await chromium.browser.browser()?.newContext();
		if (!context) throw new Error('Chromium has no other contexts');
		return { context, page: await context.newPage() };
	};

	/** Answers the pages of the provider until it posts. */
	const logIn = async (page: Page, name: string): Promise<void> => {
		await page.goto(`${server.url}/login?next=/`);
		await page.fill('input[name=name]', name);
		await page.click('text=Log in');
		await page.click('text=Allow');
	};

	/** The response to the next POST to this path, with its request as the browser sent it. */
	const nextPost = async (page: Page, path: string): Promise<Response> =>
		page.waitForResponse(
			(response) =>
				response.request().method() === 'POST' && response.url() === server.url + path
		);

	/** Posts a form from a page of the provider's site. */
	const postFrom = async (page: Page, path: string, body: string): Promise<Response> => {
		const inputs = [...new URLSearchParams(body)].map(
			([name, value]) => `<input name="${name}" value="${value}">`
		);
		const form = `<form method="post" action="${server.url}${path}">${inputs.join('')}</form>`;
		const url = `${provider.issuer}/forged`;
		await page.route(url, async (route) =>
			route.fulfill({ contentType: 'text/html', body: form })
		);
		await page.goto(url);
		const answered = nextPost(page, path);
		await page.locator('form').evaluate((element: HTMLFormElement) => {
			element.submit();
		});
		await page.waitForURL((address) => address.origin === server.url);
		return answered;
	};

	/** The body that the provider posts at the end of a login, without its arriving. */
	const stolenAnswer = async (page: Page, name: string): Promise<string> => {
		const posted = new Promise<string>((resolve) => {
			void page.route(server.url + CALLBACK, async (route) => {
				resolve(route.request().postData() ?? '');
				await route.abort();
			});
		});
		await logIn(page, name);
		const body = await posted;
		await page.unroute(server.url + CALLBACK);
		return body;
	};

	const sessionCookie = async (context: BrowserContext): Promise<string | undefined> =>
		(await context.cookies()).find(({ name }) => name === 'connect.sid')?.value;

	const user = async (page: Page): Promise<string | null> => {
		await page.goto(server.url);
		return page.locator('p').textContent();
	};

	test('a login by POST finds the session in the request that follows', async () => {
		const { context, page } = await visitor();
		await page.goto(`${server.url}/login?next=/`);
		const before = await sessionCookie(context);
		expect(before).toBeDefined();
		const answered = nextPost(page, CALLBACK);
		await logIn(page, 'ada');
		const response = await answered;
		expect((await response.request().allHeaders()).cookie).toBeUndefined();
		const [cookie = '', ...others] = (await response.headersArray())
			.filter(({ name }) => name.toLowerCase() === 'set-cookie')
			.map(({ value }) => value);
		expect(others).toEqual([]);
		expect(cookie).toMatch(/^login-answer=/);
		for (const attribute of ['Max-Age=60', `Path=${CALLBACK}`, 'HttpOnly', 'SameSite=Lax'])
			expect(cookie).toContain(attribute);

		await page.waitForURL(`${server.url}/`);
		expect(await page.locator('p').textContent()).toMatch(/^user /);
		expect(await sessionCookie(context)).not.toBe(before);
		const left = await context.cookies(server.url + CALLBACK);
		expect(left.map(({ name }) => name)).toEqual(['connect.sid']);

		// A reload of the POST, and its answer again from the other site.
		const body = response.request().postData() ?? '';
		expect(body).toMatch(/code=.*state=/);
		await postFrom(page, CALLBACK, body);
		await page.getByText('This login has expired').waitFor();
		expect(await user(page)).toMatch(/^user /);
		await context.close();
	});

	test('without the redirect, the endpoint has neither cookie nor login', async () => {
		const { context, page } = await visitor();
		await page.goto(`${server.url}/login`);
		expect(await sessionCookie(context)).toBeDefined();
		const naive = await postFrom(page, '/naive', 'code=1&state=2');
		expect(await naive.json()).toEqual({ cookie: null, hasLogin: false });
		// The same form of the app's own site has both.
		await page.goto(`${server.url}/api/nonce`);
		const own = await page.evaluate(async () => {
			const response = await fetch('/naive', { method: 'POST', body: new FormData() });
			return (await response.json()) as { cookie: string; hasLogin: boolean };
		});
		expect(own.cookie).toContain('connect.sid=');
		expect(own.hasLogin).toBe(true);
		await context.close();
	});

	test("a forged answer and an attacker's own log no one in", async () => {
		const attacker = await visitor();
		const answer = await stolenAnswer(attacker.page, 'eve');
		expect(answer).toMatch(/code=.*state=/);
		const { context, page } = await visitor();
		await postFrom(page, CALLBACK, answer);
		await page.getByText('This login has expired').waitFor();
		expect(await user(page)).toBe('no user');
		for (const body of [answer, 'code=made-up&state=made-up', 'code=made-up', '']) {
			await page.goto(`${server.url}/login`);
			await postFrom(page, CALLBACK, body);
			await page.getByText('This login could not be verified').waitFor();
			expect(await user(page)).toBe('no user');
		}
		// The attacker's login was not used up.
		await postFrom(attacker.page, CALLBACK, answer);
		await attacker.page.waitForURL(`${server.url}/`);
		expect(await user(attacker.page)).toMatch(/^user /);
		await attacker.context.close();
		await context.close();
	});

	test('a form of another site is refused, and an answer too long for a cookie', async () => {
		const post = async (origin: string, body: string): Promise<globalThis.Response> =>
			fetch(server.url + CALLBACK, {
				method: 'POST',
				headers: { origin, 'content-type': 'application/x-www-form-urlencoded' },
				body,
				redirect: 'manual'
			});
		expect((await post('https://evil.example', 'code=1')).status).toBe(403);
		expect((await post(provider.issuer, 'code=1')).status).toBe(303);
		const long = await post(provider.issuer, `code=${'a'.repeat(4_000)}`);
		expect(long.status).toBe(413);
		expect(long.headers.getSetCookie()).toEqual([]);
	});
});
