import type { Actions, RequestEvent, ServerLoad } from '@sveltejs/kit';
import { describe, expect, test, vi } from 'vitest';

import { ConfigError, MemoryStore, sessions, type SveltekitSessionConfig } from '../src/index.js';
import { fakeEvent } from '../src/testing.js';

/* Code of an application, with the types that SvelteKit generates for a route. */

interface Slug extends Record<string, string> {
	slug: string;
}

const load: ServerLoad<Slug, { theme: string }, Record<string, unknown>, '/blog/[slug]'> = async ({
	locals,
	params,
	parent,
	depends,
	setHeaders
}) => {
	depends('app:session');
	setHeaders({ 'x-slug': params.slug });
	return { user: locals.session.userId, slug: params.slug, ...(await parent()) };
};

const actions = {
	login: async ({ locals, request, cookies }) => {
		const name = (await request.formData()).get('name') as string;
		cookies.set('last', 'Ada & Grace', { path: '/' });
		await locals.session.login(name, { data: { n: 1 } });
		return { name };
	},
	logout: async ({ locals, cookies }) => {
		cookies.delete('last', { path: '/' });
		await locals.session.destroy();
	}
} satisfies Actions;

async function endpoint({ locals, request }: RequestEvent<Slug, '/api/[slug]'>): Promise<Response> {
	const { add } = (await request.json()) as { add: number };
	await locals.session.update(({ n = 0 }: { n?: number }) => ({ n: n + add }));
	return Response.json(locals.session.data);
}

describe('an event of a test', () => {
	test('has the session of a visitor', async () => {
		const anonymous = await fakeEvent();
		expect(anonymous.locals.session).toMatchObject({
			data: {},
			isNew: true,
			userId: undefined
		});

		const visitor = await fakeEvent({ session: { n: 1 } });
		expect(visitor.locals.session).toMatchObject({ data: { n: 1 }, isNew: false });
		expect(visitor.locals.session.userId).toBeUndefined();

		const user = await fakeEvent({ user: 'ada', session: { n: 2 } });
		expect(user.locals.session).toMatchObject({ data: { n: 2 }, isNew: false, userId: 'ada' });
		expect(user.locals.session.isFresh(60)).toBe(true);
	});

	test('fits load functions, actions and endpoints of any route', async () => {
		const loaded = await load(
			await fakeEvent({
				user: 'ada',
				params: { slug: 'books' },
				route: '/blog/[slug]',
				parent: { theme: 'dark' }
			})
		);
		expect(loaded).toEqual({ user: 'ada', slug: 'books', theme: 'dark' });

		const login = await fakeEvent({ url: '/login', form: { name: 'grace' } });
		expect(await actions.login(login)).toEqual({ name: 'grace' });
		expect(login.locals.session.userId).toBe('grace');

		const added = await fakeEvent({ session: { n: 1 }, json: { add: 2 } });
		expect(await (await endpoint(added)).json()).toEqual({ n: 3 });
	});

	test('is followed by the next one of the same browser', async () => {
		const login = await fakeEvent({ form: { name: 'ada' }, cookies: { theme: 'ä;b' } });
		await actions.login(login);
		const page = await login.next({ url: '/account' });
		expect(page.url.href).toBe('http://localhost/account');
		expect(page.request.method).toBe('GET');
		expect(page.locals.session.userId).toBe('ada');
		expect(page.cookies.get('last')).toBe('Ada & Grace');
		expect(page.cookies.get('theme')).toBe('ä;b');

		await actions.logout(page);
		const after = await page.next();
		expect(after.locals.session).toMatchObject({ data: {}, isNew: true, userId: undefined });
		expect(after.cookies.getAll()).toEqual([{ name: 'theme', value: 'ä;b' }]);
	});

	test('gives the response that the browser gets', async () => {
		const event = await fakeEvent({ options: { autoSave: true } });
		Object.assign(event.locals.session.data, { n: 1 });
		event.setHeaders({ 'x-page': 'cart' });
		event.cookies.set('last', 'a b', { path: '/shop', maxAge: 60, sameSite: 'strict' });
		const response = await event.respond(new Response('hello', { status: 201 }));
		expect(response.status).toBe(201);
		expect(await response.text()).toBe('hello');
		expect(response.headers.get('x-page')).toBe('cart');
		const cookies = response.headers.getSetCookie();
		expect(cookies).toHaveLength(2);
		expect(cookies).toContain('last=a%20b; Path=/shop; Max-Age=60; HttpOnly; SameSite=strict');
		expect(cookies.join()).toContain('connect.sid=');
		expect(await event.respond()).toBe(response);
		expect(() => {
			event.cookies.set('late', '1', { path: '/' });
		}).toThrow('after the response');
		expect((await event.next()).locals.session.data).toEqual({ n: 1 });
	});

	test('shares the store of other visitors, and the options of the application', async () => {
		const options: Partial<SveltekitSessionConfig> = {
			secret: 'the secret of the application in its tests',
			store: new MemoryStore(),
			name: 'sid',
			as: 'visitor'
		};
		const [here, there] = [
			await fakeEvent({ user: 'ada', options }),
			await fakeEvent({ user: 'ada', options })
		];
		const { visitor } = here.locals as unknown as { visitor: App.Locals['session'] };
		expect(visitor.userId).toBe('ada');
		await sessions({ secret: '', ...options })
			.of('ada')
			.revokeAll();
		const next = await there.next();
		expect(next.locals).toMatchObject({ visitor: { userId: undefined } });
	});

	test('travels in time with the clock of the test', async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		try {
			const event = await fakeEvent({ user: 'ada', options: { idleTimeout: 900 } });
			await event.respond();
			vi.setSystemTime(Date.now() + 899_000);
			const idle = await event.next();
			expect(idle.locals.session.userId).toBe('ada');
			await idle.respond();
			vi.setSystemTime(Date.now() + 1_000_000);
			expect((await idle.next()).locals.session.userId).toBeUndefined();
		} finally {
			vi.useRealTimers();
		}
	});

	test('has the other parts of a request', async () => {
		const event = await fakeEvent({
			url: 'https://app.example/a?b=c',
			method: 'PUT',
			headers: { 'x-a': '1' },
			body: 'text',
			locals: { user: 'theirs' },
			platform: { env: {} },
			clientAddress: '192.0.2.1'
		});
		expect(event.url.search).toBe('?b=c');
		expect(event.request.method).toBe('PUT');
		expect(event.request.headers.get('x-a')).toBe('1');
		expect(await event.request.text()).toBe('text');
		expect(event.locals).toMatchObject({ user: 'theirs' });
		expect(event.platform).toEqual({ env: {} });
		expect(event.getClientAddress()).toBe('192.0.2.1');
		expect(event.untrack(() => 1)).toBe(1);
		await expect(event.fetch('/api')).rejects.toThrow('pass `fetch`');
		expect(event.cookies.serialize('a', 'b', { path: '/' })).toContain('Secure');

		const file = new FormData();
		file.set('file', new Blob(['text']), 'a.txt');
		const form = await fakeEvent({ form: file });
		expect((await form.request.formData()).get('file')).toBeInstanceOf(Blob);
	});

	test('is refused with invalid options', async () => {
		await expect(fakeEvent({ options: { secret: '' } })).rejects.toThrow(ConfigError);
		await expect(fakeEvent({ user: 'ada', options: { skip: () => true } })).rejects.toThrow(
			'`skip` leaves the visitor without a session'
		);
		await expect(fakeEvent({ session: { f: () => 1 } as never })).rejects.toThrow('data');
	});
});
