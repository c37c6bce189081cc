// Nothing here runs: it is right if it compiles, and if every `@ts-expect-error` is needed.
import type { RequestEvent } from '@sveltejs/kit';
import { sveltekitSessionHandle, type SveltekitSessionConfig } from 'vestiary';
import { z } from 'zod';

const schema = z.object({
	theme: z.enum(['light', 'dark']).default('light'),
	since: z.coerce.date().optional()
});

declare module 'vestiary' {
	interface Register {
		schema: typeof schema;
	}
}

export const options: SveltekitSessionConfig = { secret: '', schema, version: 2 };
sveltekitSessionHandle({ ...options, migrate: (data, version) => ({ ...data, version }) });
sveltekitSessionHandle({
	...options,
	migrate: (data) => {
		delete data.colour;
	}
});
// @ts-expect-error -- not a schema
sveltekitSessionHandle({ secret: '', schema: { theme: 'light' } });

// The registered schema types the data.
export async function typed({ locals: { session } }: RequestEvent): Promise<string> {
	const theme: 'light' | 'dark' = session.data.theme;
	const since: Date | undefined = session.data.since;
	await session.setData({ theme: 'dark' });
	await session.update((data) => {
		data.since = new Date();
		return data;
	});
	await session.login('ada', { keep: ['theme'], data: { theme: 'light' } });
	// @ts-expect-error -- no such theme
	await session.setData({ theme: 'pink' });
	// @ts-expect-error -- no such key
	await session.login('ada', { keep: ['colour'] });
	// @ts-expect-error -- not in the schema
	session.data.colour = 'pink';
	return theme + String(since);
}
