import { error } from '@sveltejs/kit';

import { render } from '#lib/server/markdown.ts';
import { groups, pages } from '#lib/server/pages.ts';

export const entries = () => pages.map(({ path }) => ({ page: path }));

export const load = async ({ params }: { params: { page: string } }) => {
	const page = pages.find(({ path }) => path === params.page);
	if (!page) error(404, 'There is no such page');
	const group = groups.find((one) => one.pages.includes(page));
	const at = group?.pages.indexOf(page) ?? 0;
	const brief = (one = group?.pages[at]) => one && { path: one.path, title: one.title };
	return {
		path: page.path,
		title: page.title,
		group: group?.title,
		previous: brief(group?.pages[at - 1]) ?? null,
		next: group?.pages[at + 1] ? brief(group.pages[at + 1]) : null,
		...(await render(page))
	};
};
