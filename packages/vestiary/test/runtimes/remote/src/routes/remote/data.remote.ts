import { command, form, getRequestEvent, query } from '$app/server';

export const read = query(() => getRequestEvent().locals.session.data.n ?? 0);

// SvelteKit lets no query set a cookie with its jar; a session does not use the jar.
export const begin = query(async () => add(1));

export const increment = command('unchecked', (by: number) => add(by));

export const incrementByForm = form('unchecked', async () => {
	await add(100);
});

async function add(by: number): Promise<number> {
	const { session } = getRequestEvent().locals;
	await session.setData({ n: (session.data.n ?? 0) + by });
	await session.save();
	return session.data.n ?? 0;
}
