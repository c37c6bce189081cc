import { posix } from 'node:path';

import { base } from '#lib/base.ts';

import { pages } from './pages.ts';

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
