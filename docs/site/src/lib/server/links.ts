import { posix } from 'node:path';

import { base } from '#lib/base.ts';

import { pages, type Page } from './pages.ts';

/** Files of the repository that are no pages, such as an example, are shown where it is hosted. */
const REPOSITORY = process.env['REPOSITORY_URL'];

/** The address on the site of a link in a Markdown file, as it is written for readers of the repository. */
export function addressOf(target: string, file: string): string | undefined {
	if (/^(?:[a-z]+:|#)/.test(target)) return target;
	const [path = '', anchor] = target.split('#');
	const whole = posix.normalize(posix.join(posix.dirname(file), path));
	const hash = anchor === undefined ? '' : `#${anchor}`;
	if (['README.md', 'docs/README.md'].includes(whole)) return `${base}/`;
	const page = pages.find((one) => one.file === whole);
	if (page) return `${base}/${page.path}${hash}`;
	if (whole.startsWith('docs/images/')) return `${base}/images/${posix.basename(whole)}`;
	return REPOSITORY === undefined ? undefined : `${REPOSITORY}/${whole}${hash}`;
}

/** The Markdown of a page, with links to the Markdown of other pages, as the site has it. A link to a file that it does not have becomes its text. */
export function markdownOf({ markdown, file, path }: Page): string {
	const here = posix.dirname(path);
	const parts = markdown.split(/(^```.*?^```$)/gms).map((part, n) => {
		// The odd ones are samples.
		if (n % 2 === 1) return part;
		return part.replaceAll(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (_, picture, text, target) => {
			const address = inMarkdown(addressOf(target, file), here);
			return address === undefined ? text : `${picture}[${text}](${address})`;
		});
	});
	return parts.join('');
}

/** The address of a page's Markdown, relative to a folder of the site. */
function inMarkdown(address: string | undefined, here: string): string | undefined {
	if (!address?.startsWith(`${base}/`)) return address;
	const [path = '', anchor] = address.slice(base.length + 1).split('#');
	const name = path === '' ? 'llms.txt' : path.startsWith('images/') ? path : `${path}.md`;
	return posix.relative(here, name) + (anchor === undefined ? '' : `#${anchor}`);
}
