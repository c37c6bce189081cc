import { groups } from '#lib/server/pages.ts';

export const prerender = true;

export const load = () => ({
	groups: groups.map(({ title, pages }) => ({
		title,
		pages: pages.map(({ path, title }) => ({ path, title }))
	}))
});
