import MarkdownIt from 'markdown-it';

import { diagram } from './diagrams.ts';
import { names, sizeOf } from './images.ts';
import { addressOf } from './links.ts';
import type { Page } from './pages.ts';
import { sample } from './samples.ts';

/** A heading of a page, for its table of contents. */
export interface Heading {
	readonly level: number;
	readonly id: string;
	readonly text: string;
}

export interface Rendered {
	readonly html: string;
	readonly headings: readonly Heading[];
	/** The first paragraph, for search engines. */
	readonly description: string;
}

const markdown = new MarkdownIt({ html: true });

/** The HTML of a page. */
export async function render({ markdown: text, file }: Page): Promise<Rendered> {
	const tokens = markdown.parse(text, {});
	const headings: Heading[] = [];
	const ids = new Map<string, number>();
	let description = '';
	for (const [i, token] of tokens.entries()) {
		const inline = tokens[i + 1];
		if (token.type === 'heading_open' && inline) {
			const words = plain(inline.content);
			const id = slug(words, ids);
			token.attrSet('id', id);
			headings.push({ level: Number(token.tag.slice(1)), id, text: words });
		}
		if (token.type === 'paragraph_open' && description === '' && inline)
			description = plain(inline.content).replaceAll('\n', ' ');
		if (token.type === 'html_block' || token.type === 'html_inline')
			token.content = relinked(token.content, file);
		for (const child of token.children ?? []) {
			if (child.type === 'link_open') {
				const address = addressOf(String(child.attrGet('href') ?? ''), file);
				// A file that the site does not have: its name stays, the link goes.
				if (address === undefined) [child.tag, child.attrs] = ['span', []];
				else child.attrSet('href', address);
			}
			if (child.type === 'link_close') child.tag = openTag(token.children ?? [], child);
			if (child.type === 'image') picture(child, file);
			if (child.type === 'html_inline') child.content = relinked(child.content, file);
		}
		if (token.type === 'fence') {
			const language = token.info.split(',')[0] ?? '';
			token.type = 'html_block';
			token.content =
				language === 'mermaid'
					? diagram(token.content)
					: await sample(language, token.content);
		}
	}
	const html = markdown.renderer.render(tokens, markdown.options, {});
	let tables = 0;
	// A wide table scrolls by itself, and the page does not.
	const scrolling = html
		.replaceAll(
			'<table>',
			() =>
				`<div class="table" tabindex="0" role="region" aria-label="Table ${++tables}"><table>`
		)
		.replaceAll('</table>', '</table></div>');
	return { html: scrolling, headings, description };
}

type Token = ReturnType<typeof markdown.parse>[number];

/** The tag that the link was opened with. */
function openTag(children: readonly Token[], close: Token): string {
	const before = children
		.slice(0, children.indexOf(close))
		.filter(({ type }) => type === 'link_open');
	return before.at(-1)?.tag ?? 'a';
}

function picture(image: Token, file: string): void {
	const source = addressOf(String(image.attrGet('src') ?? ''), file) ?? '';
	image.attrSet('src', source);
	const name = source.split('/').at(-1) ?? '';
	if (!names.includes(name)) return;
	const [width, height] = sizeOf(name);
	image.attrSet('width', `${Math.round(width)}`);
	image.attrSet('height', `${Math.round(height)}`);
	image.attrSet('loading', 'lazy');
}

/** Links and pictures that are written in HTML. */
function relinked(html: string, file: string): string {
	return html.replaceAll(
		/(href|src|srcset)="([^"]+)"/g,
		(_, name: string, target: string) => `${name}="${addressOf(target, file) ?? target}"`
	);
}

function plain(text: string): string {
	return text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/[`*]/g, '');
}

/** The anchor of a heading, as forges make it. */
function slug(text: string, ids: Map<string, number>): string {
	const base = text
		.toLowerCase()
		.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
		.trim()
		.replaceAll(/\s/g, '-');
	const times = ids.get(base) ?? 0;
	ids.set(base, times + 1);
	return times === 0 ? base : `${base}-${times}`;
}
