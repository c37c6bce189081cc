import { error } from '@sveltejs/kit';

import { markdownOf } from '#lib/server/links.ts';
import { pages } from '#lib/server/pages.ts';

export const prerender = true;

export const entries = () => pages.map(({ path }) => ({ page: path }));

/** The Markdown of a page. */
export const GET = ({ params }: { params: { page: string } }) => {
	const page = pages.find(({ path }) => path === params.page);
	if (!page) error(404, 'There is no such page');
	return new Response(markdownOf(page), {
		headers: { 'content-type': 'text/markdown; charset=utf-8' }
	});
};
