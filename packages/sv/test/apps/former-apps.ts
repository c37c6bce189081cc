import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { startRedis } from '../../../vestiary/test/stores/servers.ts';
import type { Case } from './former-steps.ts';

/** An app that has sessions of another library: its files, and the packages that they need. */
export interface FormerApp {
	readonly packages: Readonly<Record<string, string>>;
	/** Versions of packages that others need. */
	readonly overrides?: object;
	readonly files: Readonly<Record<string, string>>;
	/** Starts the servers that the app needs. */
	readonly start?: (folder: string) => Promise<Started>;
	/** Makes what is not installed, such as a client. */
	readonly prepare?: (folder: string) => Promise<unknown>;
}

/** Servers of an app: lines for `.env`, and how they end. */
export interface Started {
	readonly variables: string;
	readonly stop: () => Promise<unknown>;
}

export type Language = 'ts' | 'js';

/** The app with SvelteKit 3, which has some of the modules under other names, and wants variables to be declared. */
export function forKit3(one: Case): Case {
	const { language, app } = one;
	const declared = new Set<string>();
	const files = Object.entries(app.files).map(([name, text]) => {
		const names = [...text.matchAll(/\benv\.([A-Z_]+)/g)].map(([, variable = '']) => variable);
		for (const variable of names) declared.add(variable);
		const changed = text
			.replace(
				"import { env } from '$env/dynamic/private';",
				`import { ${names.join(', ')} } from '$app/env/private';`
			)
			.replaceAll(/\benv\.([A-Z_]+) \?\?/g, '$1 ||')
			.replaceAll('$app/environment', '$app/env')
			.replaceAll(
				"import type { Handle } from '@sveltejs/kit'",
				"import type { Handle } from '@sveltejs/kit/hooks'"
			)
			.replaceAll("import('@sveltejs/kit').Handle", "import('@sveltejs/kit/hooks').Handle");
		return [name, changed] as const;
	});
	const variables = [...declared].map((name) => `	${name}: { schema: (value) => value ?? '' }`);
	const env = `import { defineEnvVars } from '@sveltejs/kit/env';

export const variables = defineEnvVars({
${variables.join(',\n')}
});
`;
	const more = declared.size === 0 ? {} : { [`src/env.${language}`]: env };
	return {
		...one,
		name: `${one.name}-kit3`,
		kit: 3,
		app: { ...app, files: { ...Object.fromEntries(files), ...more } }
	};
}

/** Parts of a file that only one language has. */
export function printer(language: Language): {
	ts: (text: string) => string;
	js: (text: string) => string;
} {
	return {
		ts: (text) => (language === 'ts' ? text : ''),
		js: (text) => (language === 'js' ? text : '')
	};
}

const PAGE = `<script>
	let { data } = $props();
</script>

<p>user: {data.user ?? 'anonymous'}, visits: {data.visits ?? 0}</p>
`;

/** An app with svelte-kit-cookie-session, as its README has it. */
export function cookieSessionApp(language: Language, kit: 2 | 3 = 2): FormerApp {
	const { ts, js } = printer(language);
	// The library takes the type of a hook from SvelteKit 2.
	const type = "Parameters<import('@sveltejs/kit/hooks').Handle>[0]";
	const [input, comment] =
		kit === 3 ? [ts(`: ${type}`), js(`/** @param {${type}} input */ `)] : ['', ''];
	return {
		packages: { 'svelte-kit-cookie-session': '4.1.1' },
		files: {
			'.env': 'FORMER_SECRET=gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82\n',
			[`src/hooks.server.${language}`]: `import { env } from '$env/dynamic/private';
import { handleSession } from 'svelte-kit-cookie-session';

export const handle = handleSession(
	{
		secret: env.FORMER_SECRET ?? '',
		expires: 2,
		rolling: true
	},
	${comment}async ({ event, resolve }${input}) => {
		// The app's own hook.
		const response = await resolve(event);
		response.headers.set('x-user', event.locals.session.data.user ?? 'anonymous');
		return response;
	}
);
`,
			'src/app.d.ts': `import type { Session } from 'svelte-kit-cookie-session';

type SessionData = {
	user?: string;
	visits?: number;
};

declare global {
	namespace App {
		interface Locals {
			session: Session<SessionData>;
		}
		interface PageData {
			user?: string;
			visits?: number;
		}
	}
}

export {};
`,
			[`src/routes/+page.server.${language}`]: `${ts("import type { Actions, PageServerLoad } from './$types';\n\n")}${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ locals: { session } }) => ({
	user: session.data.user,
	visits: session.data.visits
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	login: async ({ locals, request }) => {
		await locals.session.set({ user: String((await request.formData()).get('name')), visits: 0 });
	},
	visit: async ({ locals }) => {
		await locals.session.update(({ visits }) => ({ visits: (visits ?? 0) + 1 }));
	},
	logout: async ({ locals }) => {
		await locals.session.destroy();
	}
};
`,
			'src/routes/+page.svelte': PAGE
		}
	};
}

/** An app with svelte-kit-sessions, and its store for Redis. */
export function svelteKitSessionsApp(language: Language): FormerApp {
	const { ts, js } = printer(language);
	return {
		packages: {
			ioredis: '5.11.1',
			'svelte-kit-connect-redis': '0.1.0',
			'svelte-kit-sessions': '0.4.0'
		},
		// The store names a range of its own, so that npm would install a second copy with other types.
		overrides: { 'svelte-kit-connect-redis': { 'svelte-kit-sessions': '0.4.0' } },
		files: {
			'.env': 'FORMER_SECRET=J8fQ2mZr7LxPw0KsVb3nYc6TdHg1RkEu\n',
			[`src/hooks.server.${language}`]: `import { env } from '$env/dynamic/private';
import { Redis } from 'ioredis';
import RedisStore from 'svelte-kit-connect-redis';
import { sveltekitSessionHandle } from 'svelte-kit-sessions';

const client = new Redis(env.REDIS_URL ?? '', { lazyConnect: true });

export const handle = sveltekitSessionHandle({
	secret: env.FORMER_SECRET ?? '',
	store: new RedisStore({ client })
});
`,
			'src/app.d.ts': `import type { Session } from 'svelte-kit-sessions';

declare module 'svelte-kit-sessions' {
	interface SessionData {
		user: string;
		visits: number;
	}
}

declare global {
	namespace App {
		interface Locals {
			session: Session;
		}
	}
}

export {};
`,
			[`src/routes/+page.server.${language}`]: `${ts("import type { Actions, PageServerLoad } from './$types';\n\n")}${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ locals: { session } }) => ({
	user: session.data.user,
	visits: session.data.visits
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	login: async ({ locals, request }) => {
		await locals.session.setData({ user: String((await request.formData()).get('name')), visits: 0 });
		await locals.session.save();
	},
	visit: async ({ locals: { session } }) => {
		await session.setData({ user: session.data.user ?? '', visits: (session.data.visits ?? 0) + 1 });
		await session.save();
	},
	logout: async ({ locals }) => {
		await locals.session.destroy();
	}
};
`,
			'src/routes/+page.svelte': PAGE
		},
		start: async () => {
			const servers = await startRedis();
			const [port = 0] = servers.ports;
			return {
				variables: `REDIS_URL=redis://localhost:${port}\n`,
				stop: () => servers.stop()
			};
		}
	};
}

/** An app with iron-session, whose session is in `locals`. */
export function ironSessionApp(language: Language, version: string): FormerApp {
	const { ts, js } = printer(language);
	return {
		packages: { 'iron-session': version },
		files: {
			'.env': 'FORMER_PASSWORD=gM3xW0pYtq7ZcHs1LJ9vBnK5dRfUaE82\n',
			[`src/lib/server/session.${language}`]: `import { env } from '$env/dynamic/private';
${ts("import type { SessionOptions } from 'iron-session';\n")}
${ts('export interface SessionData {\n\tuser?: string;\n\tvisits?: number;\n}\n\n')}export const sessionOptions${ts(': SessionOptions')} = {
	cookieName: 'app_session',
	password: env.FORMER_PASSWORD ?? 'a password that the build does not use',
	ttl: 60 * 60 * 24 * 2
};
`,
			[`src/hooks.server.${language}`]: `import { getIronSession } from 'iron-session';
${ts("import type { Handle } from '@sveltejs/kit';\n")}import { sessionOptions${ts(', type SessionData')} } from './lib/server/session';

${js("/** @type {import('@sveltejs/kit').Handle} */\n")}export const handle${ts(': Handle')} = async ({ event, resolve }) => {
	const written = new Response();
	event.locals.session = await getIronSession${ts('<SessionData>')}(event.request, written, sessionOptions);
	const response = await resolve(event);
	for (const cookie of written.headers.getSetCookie()) response.headers.append('set-cookie', cookie);
	return response;
};
`,
			'src/app.d.ts': `import type { IronSession } from 'iron-session';

declare global {
	namespace App {
		interface Locals {
			session: IronSession<{ user?: string; visits?: number }>;
		}
	}
}

export {};
`,
			[`src/routes/+page.server.${language}`]: `${ts("import type { Actions, PageServerLoad } from './$types';\n\n")}${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ locals }) => {
	const { session } = locals;
	return { user: session.user, visits: session.visits };
};

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	login: async ({ locals, request }) => {
		locals.session.user = String((await request.formData()).get('name'));
		locals.session.visits = 0;
		await locals.session.save();
	},
	visit: async ({ locals: { session } }) => {
		session.visits = (session.visits ?? 0) + 1;
		await session.save();
	},
	logout: async ({ locals }) => {
		locals.session.destroy();
	}
};
`,
			'src/routes/+page.svelte': PAGE
		}
	};
}

/** Writes the files of an app. */
export async function write(folder: string, files: FormerApp['files']): Promise<void> {
	for (const [name, text] of Object.entries(files)) {
		await mkdir(dirname(join(folder, name)), { recursive: true });
		await writeFile(join(folder, name), text);
	}
}
