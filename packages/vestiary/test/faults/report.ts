/** The report on the runs: a table, and a plot. */
import { readFile, writeFile } from 'node:fs/promises';

import { BIN, type Result } from './play.ts';

export const DOCS = new URL('../../../../docs/', import.meta.url);
const MARKERS = [
	'<!-- faults: written by the runs -->',
	'<!-- end of what the runs have written -->'
] as const;

/** The runs as a Markdown table, formatted as prettier does. */
export function tableOf(results: Result[]): string {
	const head = [
		'scenario',
		'seconds',
		'requests',
		'acknowledged',
		'faults',
		'errors',
		'unknown',
		'compared',
		'lost',
		'twice',
		'back',
		'mixed'
	];
	const rows = results.map(({ counts, ...result }) => [
		result.name,
		...[
			result.seconds,
			result.requests,
			result.acknowledged,
			result.faults,
			result.errors,
			result.unknown,
			result.comparisons,
			counts.lost,
			counts.twice,
			counts.resurrected,
			counts.mixed
		].map((count) => count.toLocaleString('en'))
	]);
	return paddedTable([head, ...rows]);
}

/** A Markdown table, formatted as prettier does. */
export function paddedTable(rows: readonly (readonly string[])[]): string {
	const [head = [], ...others] = rows;
	const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
	const line = (row: readonly string[]): string =>
		`| ${row.map((cell, at) => pad(cell, at, widths)).join(' | ')} |`;
	const rule = widths.map((width, at) =>
		at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`
	);
	return [line(head), line(rule), ...others.map(line)].join('\n');
}

/** Puts the table and the plot into docs/. */
export async function writeDocs(results: Result[], notes: string): Promise<void> {
	await writeFile(new URL('images/reliability.svg', DOCS), plotOf(results));
	await writePage(MARKERS, [tableOf(results), notes]);
}

/** Replaces the paragraphs between two markers of docs/explanation/reliability.md. */
export async function writePage(
	[begin, end]: readonly [string, string],
	paragraphs: readonly string[]
): Promise<void> {
	const page = new URL('explanation/reliability.md', DOCS);
	const text = await readFile(page, 'utf8');
	const [before, rest] = text.split(begin);
	const after = rest?.split(end)[1];
	if (before === undefined || after === undefined)
		throw new Error(`docs/explanation/reliability.md has lost the markers: ${begin}`);
	await writeFile(page, `${before}${[begin, ...paragraphs, end].join('\n\n')}${after}`);
}

const WIDTH = 960;
const LEFT = 190;
const RIGHT = 250;
const TOP = 62;
const STRIP = 58;
const GAP = 14;
/** The maximum number of steps in a curve. */
const STEPS = 150;

/** The colours of the plots, in the light and in the dark. */
export const STYLE = `
	svg { --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --rule: #d1d9e0; --answers: #2f6fd0;
		--errors: #c2410c; --fault: #1f2328; }
	@media (prefers-color-scheme: dark) {
		svg { --paper: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --rule: #30363d; --answers: #6ea8fe;
			--errors: #fb923c; --fault: #e6edf3; }
	}
	text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--ink); }
	.quiet { fill: var(--quiet); font-size: 11px; }
	.number { text-anchor: end; font-variant-numeric: tabular-nums; }
	.none { fill: var(--quiet); }
	.bad { fill: var(--errors); font-weight: 700; }
	.paper { fill: var(--paper); }
	.rule { stroke: var(--rule); }
	.answers { fill: var(--answers); opacity: 0.75; }
	.errors { fill: var(--errors); }
	.fault { stroke: var(--fault); stroke-width: 1; }
`;

/** The runs over time: how many requests were answered, how many failed, and when there were faults. */
function plotOf(results: Result[]): string {
	const height = TOP + results.length * (STRIP + GAP) + 24;
	const head = ['lost', 'twice', 'back', 'mixed']
		.map((name, at) => text(columnAt(at), TOP - 14, name, 'number quiet'))
		.join('');
	const strips = results.map((result, at) => stripOf(result, TOP + at * (STRIP + GAP)));
	const legend = [
		`<rect class="answers" x="${LEFT}" y="18" width="12" height="12"/>`,
		text(LEFT + 18, 28, 'answers in a second'),
		`<rect class="errors" x="${LEFT + 160}" y="18" width="12" height="12"/>`,
		text(LEFT + 178, 28, 'errors in a second'),
		`<path class="fault" d="M${LEFT + 316} 18v12"/>`,
		text(LEFT + 326, 28, 'a fault')
	].join('');
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>The fault runs: requests answered, errors and faults over time, and what was found wrong</title>
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
${legend}${head}
${strips.join('\n')}
</svg>
`;
}

function stripOf(result: Result, top: number): string {
	const bottom = top + STRIP;
	const width = WIDTH - LEFT - RIGHT;
	const group = Math.max(1, Math.ceil(result.series.length / STEPS));
	const bins = Array.from({ length: Math.ceil(result.series.length / group) }, (_, at) =>
		result.series.slice(at * group, (at + 1) * group)
	);
	const rates = (of: 'answered' | 'errors'): number[] =>
		bins.map((bin) => bin.reduce((sum, one) => sum + one[of], 0) / (bin.length * BIN));
	const answered = rates('answered');
	const most = Math.max(1, ...answered);
	const seconds = result.series.length * BIN;
	const faults = result.faultsAt
		.filter((at) => at < seconds)
		.map((at) => `M${Math.round(LEFT + (at / seconds) * width)} ${bottom + 2}v6`)
		.join('');
	const area = (values: number[]): string => {
		const step = width / values.length;
		const points = values.map((value, at) => {
			const y = Math.round(bottom - Math.min(1, value / most) * STRIP);
			return `V${y}H${Math.round(LEFT + (at + 1) * step)}`;
		});
		return `M${LEFT} ${bottom}${points.join('')}V${bottom}Z`;
	};
	const { lost, twice, resurrected, mixed } = result.counts;
	const numbers = [lost, twice, resurrected, mixed].map((count, at) =>
		text(
			columnAt(at),
			top + 34,
			count.toLocaleString('en'),
			`number ${count > 0 ? 'bad' : 'none'}`
		)
	);
	return [
		...linesOf(result.name).map((line, at) => text(14, top + 22 + at * 17, line)),
		text(LEFT - 8, top + 9, most.toFixed(0), 'number quiet'),
		text(LEFT - 8, bottom, '0', 'number quiet'),
		`<path class="answers" d="${area(answered)}"/>`,
		`<path class="errors" d="${area(rates('errors'))}"/>`,
		`<path class="rule" d="M${LEFT} ${bottom}.5h${width}"/>`,
		`<path class="fault" d="${faults}"/>`,
		text(LEFT + width + 34, bottom + 4, `${Math.round(seconds)} s`, 'number quiet'),
		...numbers
	].join('');
}

function columnAt(at: number): number {
	return WIDTH - RIGHT + 84 + at * 50;
}

/** A name in two lines, broken at a comma. */
function linesOf(name: string): string[] {
	return name.replaceAll('`', '').split(/(?<=,) /);
}

export function text(x: number, y: number, words: string, kind = ''): string {
	return `<text x="${x}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${words}</text>`;
}

/** Names to the left, numbers to the right. */
function pad(cell: string, at: number, widths: number[]): string {
	const width = widths[at] ?? 0;
	return at === 0 ? cell.padEnd(width) : cell.padStart(width);
}
