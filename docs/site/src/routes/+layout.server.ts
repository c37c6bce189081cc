import { existsSync } from 'node:fs';

import { groups } from '#lib/server/pages.ts';

export const prerender = true;

export const load = () => ({
	/** Whether the references of both APIs are beside the pages: `cargo xtask docs --with-api`. */
	hasApi: existsSync('static/api'),
	groups: groups.map(({ title, pages }) => ({
		title,
		pages: pages.map(({ path, title }) => ({ path, title }))
	}))
});
