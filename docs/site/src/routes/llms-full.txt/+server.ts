import { groups } from '#lib/server/pages.ts';

export const prerender = true;

/** Pages that tell nothing about how to use the library. */
const LEFT_OUT =
	/^(?:changelog|architecture|contributing|reference\/benchmarks|explanation\/(?:reliability|optimisation))/;

/** The whole documentation as one text, for language models. */
export const GET = () => {
	const pages = groups.flatMap(({ pages }) => pages).filter(({ path }) => !LEFT_OUT.test(path));
	const texts = pages.map(({ path, markdown }) => `<!-- ${path}.md -->\n\n${markdown.trim()}\n`);
	return new Response(texts.join('\n'), {
		headers: { 'content-type': 'text/plain; charset=utf-8' }
	});
};
