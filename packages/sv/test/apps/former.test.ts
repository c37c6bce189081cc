import { expect, test } from 'vitest';

import { servePreview, wanted } from './app.ts';
import { cookieSessionApp, forKit3, ironSessionApp, svelteKitSessionsApp } from './former-apps.ts';
import { Browser, leave, makeFormerApp, visitFormerApp, type Case } from './former-steps.ts';

const CASES: readonly Case[] = (['ts', 'js'] as const).flatMap((language) => {
	const cookieSession = {
		name: `from-cookie-session-${language}`,
		from: 'svelte-kit-cookie-session',
		language,
		kit: 2,
		app: cookieSessionApp(language),
		cookie: 'kit.session'
	} as const;
	const ironSession = {
		name: `from-iron-session-${language}`,
		from: 'iron-session',
		language,
		kit: 2,
		app: ironSessionApp(language, language === 'ts' ? '9.0.1' : '8.0.4'),
		cookie: 'app_session'
	} as const;
	const svelteKitSessions = {
		name: `from-svelte-kit-sessions-${language}`,
		from: 'svelte-kit-sessions',
		language,
		kit: 2,
		app: svelteKitSessionsApp(language),
		cookie: 'connect.sid'
	} as const;
	return [
		cookieSession,
		ironSession,
		svelteKitSessions,
		forKit3({ ...cookieSession, app: cookieSessionApp(language, 3) }),
		forKit3(ironSession)
	];
});

test.each(CASES.filter(wanted))('$name', async (one) => {
	const { folder, stop } = await makeFormerApp(one);
	try {
		const visitor = await visitFormerApp(one, folder, async (server, first) => {
			expect(await first.ask(server)).toBe('user: anonymous, visits: 0');
			await first.ask(server, 'login', { name: 'ada' });
			await first.ask(server, 'visit');
			expect(await first.ask(server)).toBe('user: ada, visits: 1');
		});
		const old = [...visitor.cookies];
		await leave(one, folder);
		const server = await servePreview(folder);
		try {
			expect(await visitor.ask(server)).toBe('user: ada, visits: 1');
			expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
			await visitor.ask(server, 'visit');
			expect(await visitor.ask(server)).toBe('user: ada, visits: 2');
			// Until then, the old cookie leads to the same session.
			expect(await new Browser(old).ask(server)).toBe('user: ada, visits: 2');
			await visitor.ask(server, 'logout');
			expect(await visitor.ask(server)).toBe('user: anonymous, visits: 0');
			const kept = new Browser(old);
			expect(await kept.ask(server)).toBe('user: anonymous, visits: 0');
			// A cookie of svelte-kit-sessions is one of Vestiary, so it stays until a session is stored.
			expect(kept.cookies.has(one.cookie)).toBe(one.cookie === 'connect.sid');
			await visitor.ask(server, 'login', { name: 'grace' });
			expect(await visitor.ask(server)).toBe('user: grace, visits: 0');
		} finally {
			await server.stop();
		}
	} finally {
		await stop();
	}
});

// An app leaves the library first, and gets SvelteKit 3 then.
test.each(
	CASES.filter(({ from }) => from === 'svelte-kit-sessions')
		.map(forKit3)
		.filter(wanted)
)('$name cannot be installed', async (one) => {
	const range = /peer @sveltejs\/kit@"\^1\.0\.0 \|\| \^2\.0\.0" from svelte-kit-sessions@0\.4\.0/;
	await expect(makeFormerApp(one)).rejects.toThrow(range);
});
