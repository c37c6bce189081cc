import { error } from '@sveltejs/kit';

import { pages } from '#lib/server/pages.ts';

export const prerender = true;

export const entries = () => pages.map(({ path }) => ({ page: path }));

/** The Markdown of a page. */
export const GET = ({ params }: { params: { page: string } }) => {
	const page = pages.find(({ path }) => path === params.page);
	if (!page) error(404, 'There is no such page');
	return new Response(page.markdown, {
		headers: { 'content-type': 'text/markdown; charset=utf-8' }
	});
};
