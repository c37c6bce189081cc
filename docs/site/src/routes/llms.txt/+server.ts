import { groups } from '#lib/server/pages.ts';

export const prerender = true;

/** A map of the documentation for language models: https://llmstxt.org */
export const GET = () => {
	const sections = groups.map(({ title, pages }) => {
		const lines = pages.map(
			({ title, path, markdown }) => `- [${title}](${path}.md): ${summary(markdown)}`
		);
		return `## ${title}\n\n${lines.join('\n')}\n`;
	});
	return new Response(`# Vestiary\n\n> ${ABOUT}\n\n${RULES}\n${sections.join('\n')}`, {
		headers: { 'content-type': 'text/plain; charset=utf-8' }
	});
};

const ABOUT =
	'Server-side sessions for SvelteKit (npm package `vestiary`) and for Rust services on tower and axum (crate `vestiary-tower`). The data stays in a store on the server; the browser has a signed ID in a cookie.';

const RULES = `- Install with \`npm install vestiary\`; the secret comes from the environment, such as that of \`openssl rand -base64 32\`: at least 16 bytes in production, 32 with \`encrypt\`.
- \`sveltekitSessionHandle({ secret, store })\` in src/hooks.server.ts sets \`event.locals.session\`.
- Log in with \`await session.login(userId, { data })\`, log out with \`await session.destroy()\`; check \`session.userId\`.
- Without a \`store\`, sessions live in the memory of one process. Everything in one file: llms-full.txt
`;

/** The first sentence of a page. */
function summary(markdown: string): string {
	const paragraph = markdown.split('\n\n').find((part) => /^(?:[A-Z[]|`(?!``))/.test(part)) ?? '';
	const text = paragraph.replaceAll('\n', ' ').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
	return /^.*?[.:](?= |$)/.exec(text)?.[0] ?? text;
}
