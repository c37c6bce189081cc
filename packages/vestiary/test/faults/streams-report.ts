/** The report on the streams that end with their sessions: a table, and a plot. */
import { writeFile } from 'node:fs/promises';

import { within, type Ends } from '../stores/streams-run.ts';
import { DOCS, paddedTable, STYLE as COMMON, text, writePage } from './report.ts';

const MARKERS = [
	'<!-- streams: written by the runs -->',
	'<!-- end of what the runs of streams have written -->'
] as const;

/** One run of one store. */
export interface StreamResult {
	readonly name: string;
	readonly ends: Ends;
}

/** The runs as a Markdown table, formatted as prettier does. */
export function tableOf(results: readonly StreamResult[]): string {
	const rows = results.map(({ name, ends }) => [
		name,
		...[0.5, 0.99, 1].map((share) => within(ends, share).toLocaleString('en'))
	]);
	return paddedTable([['streams end', 'p50', 'p99', 'max'], ...rows]);
}

/** Puts the table and the plot into docs/. */
export async function writeDocs(results: readonly StreamResult[], notes: string): Promise<void> {
	await writeFile(new URL('images/streams.svg', DOCS), plotOf(results));
	await writePage(MARKERS, [tableOf(results), notes]);
}

const WIDTH = 960;
const LEFT = 300;
const RIGHT = 30;
const TOP = 66;
const ROW = 30;

/** The shortest and the longest time of the plot, in milliseconds. */
const SHORTEST = 1;
const LONGEST = 20_000;

const STYLE = `${COMMON}
	.end { fill: var(--answers); opacity: 0.35; }
	.median { stroke: var(--ink); stroke-width: 2; }
	.late { stroke: var(--errors); stroke-width: 2; }
	.bound { stroke: var(--ink); stroke-dasharray: 4 3; }
	.center { text-anchor: middle; }
`;

/** Each run as a row of dots, one for each stream, over the time after the logout. */
function plotOf(results: readonly StreamResult[]): string {
	const height = TOP + results.length * ROW + 20;
	const bottom = height - 14;
	const ticks = [1, 10, 100, 1_000, 10_000].map((at) => {
		const x = placeOf(at);
		const name = at < 1_000 ? `${at} ms` : `${at / 1_000} s`;
		const kind = at === 1_000 ? 'bound' : 'rule';
		return `<path class="${kind}" d="M${x}.5 ${TOP - 8}V${bottom}"/>${text(x, TOP - 14, name, 'quiet center')}`;
	});
	const rows = results.map(({ name, ends }, at) => {
		const y = TOP + at * ROW + ROW / 2;
		const dots = ends.ends.map(
			(end) => `<circle class="end" cx="${placeOf(end)}" cy="${y}" r="4"/>`
		);
		const lines = (
			[
				['median', 0.5],
				['late', 0.99]
			] as const
		).map(
			([kind, share]) =>
				`<path class="${kind}" d="M${placeOf(within(ends, share))} ${y - 9}v18"/>`
		);
		return `${text(14, y + 4, name.replaceAll('`', ''))}${dots.join('')}${lines.join('')}`;
	});
	const legend = [
		`<circle class="end" cx="20" cy="24" r="4"/>`,
		text(30, 28, 'a stream'),
		`<path class="median" d="M110 16v16"/>`,
		text(118, 28, 'half of them'),
		`<path class="late" d="M220 16v16"/>`,
		text(228, 28, '99 %')
	].join('');
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>How long the streams of ended sessions went on after the logout, by store and fault</title>
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
${legend}
${ticks.join('\n')}
${rows.join('\n')}
</svg>
`;
}

/** Where a time is, on a logarithmic scale. */
function placeOf(milliseconds: number): number {
	const share = Math.log(Math.max(SHORTEST, milliseconds)) / Math.log(LONGEST);
	return Math.round(LEFT + share * (WIDTH - LEFT - RIGHT));
}
