import { expect, test } from 'vitest';

import { servePreview, wanted } from './app.ts';
import { forKit3 } from './former-apps.ts';
import { Browser, leave, makeFormerApp, visitFormerApp, type Case } from './former-steps.ts';
import { handWrittenApp, luciaApp } from './lucia-apps.ts';
import { DATABASES } from './lucia-databases.ts';
import { luciaSecondApp } from './lucia-second-app.ts';

/** Both kinds of apps, with each database. */
const KIT2: readonly Case[] = DATABASES.flatMap((database) => [
	...database.library.map((language): Case => ({
		name: `from-lucia-${database.name}-${language}`,
		from: 'lucia',
		language,
		kit: 2,
		app: luciaApp(language, database),
		cookie: 'auth_session'
	})),
	...database.byHand.map((language): Case => ({
		name: `by-hand-${database.name}-${language}`,
		from: 'lucia',
		language,
		kit: 2,
		app: handWrittenApp(language, database),
		cookie: 'auth-session'
	}))
]);

/** Lucia 2, whose adapters find users themselves. */
const SECOND = (['ts', 'js'] as const).map((language): Case => ({
	name: `from-lucia-2-${language}`,
	from: 'lucia',
	language,
	kit: 2,
	app: luciaSecondApp(language),
	cookie: 'auth_session'
}));

const CASES = [
	...KIT2,
	...SECOND,
	...KIT2.filter(({ name }) => name.includes('-drizzle-')).map(forKit3)
];

test.each(CASES.filter(wanted))('$name', async (one) => {
	const { folder, stop } = await makeFormerApp(one);
	try {
		const late = new Browser();
		const visitor = await visitFormerApp(one, folder, async (server, first) => {
			expect(await first.ask(server)).toBe('user: anonymous');
			await first.ask(server, 'login', { name: 'ada' });
			expect(await first.ask(server)).toBe('user: ada');
			await late.ask(server, 'login', { name: 'grace' });
			expect(await late.ask(server)).toBe('user: grace');
			// The lifetime of this session is over.
			await first.ask(server, 'expire', { name: 'grace' });
		});
		const old = [...visitor.cookies];
		await leave(one, folder);
		const server = await servePreview(folder);
		try {
			expect(await late.ask(server)).toBe('user: anonymous');
			expect(late.cookies.size).toBe(0);
			expect(await visitor.ask(server)).toBe('user: ada');
			expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
			expect(await visitor.ask(server)).toBe('user: ada');
			expect(await new Browser(old).ask(server)).toBe('user: ada');
			await visitor.ask(server, 'logout');
			expect(await visitor.ask(server)).toBe('user: anonymous');
			const kept = new Browser(old);
			expect(await kept.ask(server)).toBe('user: anonymous');
			expect(kept.cookies.size).toBe(0);
			await visitor.ask(server, 'login', { name: 'grace' });
			expect([...visitor.cookies.keys()]).toEqual(['connect.sid']);
			expect(await visitor.ask(server)).toBe('user: grace');
		} finally {
			await server.stop();
		}
	} finally {
		await stop();
	}
});
