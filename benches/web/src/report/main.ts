/** `node benches/web/src/report/main.ts --in=… [--write]`: writes the pages and the plots of the results. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { format, resolveConfig } from 'prettier';

import { answersOf } from './answers.ts';
import { number, pageOf } from './page.ts';
import { plotOf } from './plot.ts';
import { Results } from './results.ts';
import { targetsOf } from './targets.ts';

const DOCS = fileURLToPath(new URL('../../../../docs', import.meta.url));
const MARKERS = [
	'<!-- bench: written by the suite -->',
	'<!-- end of what the suite has written -->'
] as const;

const { values } = parseArgs({
	options: {
		in: { type: 'string', default: 'target/bench' },
		/** Writes into docs/, instead of beside the results. */
		write: { type: 'boolean', default: false }
	}
});
const results = Results.read(values.in);
const images = values.write ? join(DOCS, 'images') : values.in;
await mkdir(images, { recursive: true });
const named = (group: string): string => `performance-${group}.svg`;
// Groups come and go.
for (const name of await readdir(images))
	if (/^performance-.*\.svg$/.test(name)) await rm(join(images, name));
for (const result of results.all)
	await writeFile(join(images, named(result.group)), await plotOf(result));
const image = (group: string): string =>
	values.write ? `../images/${named(group)}` : named(group);
const pages = [
	await pageWith('explanation/performance.md', '# Performance', answersOf(results)),
	await pageWith('reference/benchmarks.md', '# Benchmarks', pageOf(results, image))
];
for (const { what, wanted, reached, unit, ok } of targetsOf(results)) {
	const said = ok === undefined ? '–' : ok ? 'yes' : 'NO';
	const measured = reached === undefined ? 'not measured' : `${number(reached)}${unit}`;
	console.log(`${said.padStart(4)}  ${what}: ${measured} (${wanted})`);
}
console.log(`\n${pages.join('\n')}`);

/** Writes a page, into docs/ or beside the results; gives its path. */
async function pageWith(name: string, title: string, written: string): Promise<string> {
	const inDocs = join(DOCS, name);
	const file = values.write ? inDocs : join(values.in, basename(name));
	const text = values.write
		? between(inDocs, await readFile(inDocs, 'utf8'), written)
		: `${title}\n\n${written}\n`;
	const config = await resolveConfig(inDocs);
	await writeFile(file, await format(text, { ...config, parser: 'markdown' }));
	return file;
}

/** Replaces the results in the page. */
function between(file: string, text: string, written: string): string {
	const [begin, end] = MARKERS;
	const [before, rest] = text.split(begin);
	const after = rest?.split(end)[1];
	if (before === undefined || after === undefined)
		throw new Error(`${file} has lost the markers of the results`);
	return `${before}${begin}\n\n${written}\n\n${end}${after}`;
}
