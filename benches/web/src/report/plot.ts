/** The results as pictures: Vega-Lite, without a browser. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

import type { Result, Row } from '../results.ts';
import { casesOf, peersOf } from './results.ts';

/** A picture of a group, readable on light and on dark backgrounds. */
export async function plotOf(result: Result): Promise<string> {
	const { spec } = compile(isGrowth(result) ? linesOf(result) : dotsOf(result));
	const view = new vega.View(vega.parse(spec), { renderer: 'none' });
	const svg = await view.toSVG();
	view.finalize();
	return finished(svg, `${result.title}, in ${result.unit}`);
}

/** Colours on a light and on a dark background. */
const PAPER = ['#ffffff', '#0d1117'] as const;
const INK = ['#1f2328', '#e6edf3'] as const;
const QUIET = ['#59636e', '#9198a1'] as const;
const RULE = ['#d1d9e0', '#30363d'] as const;

const PEERS: Record<string, readonly [light: string, dark: string]> = {
	vestiary: ['#2f6fd0', '#6ea8fe'],
	'svelte-kit-sessions': ['#c2410c', '#fb923c'],
	'tower-sessions': ['#c2420c', '#fb923d'],
	'express-session': ['#15803d', '#4ade80'],
	axum_session: ['#15803e', '#4ade81'],
	'iron-session': ['#7e22ce', '#c084fc'],
	'actix-session': ['#7e22cf', '#c084fd'],
	'svelte-kit-cookie-session': ['#a16207', '#facc15']
};
const OTHERS = [
	['#0f766e', '#2dd4bf'],
	['#be185d', '#f472b6'],
	['#4d7c0f', '#a3e635'],
	['#b91c1c', '#f87171'],
	['#4338ca', '#a5b4fc']
] as const;
const BARE = ['#6e7781', '#8b949e'] as const;

/** Shapes, so that series can be told apart without colours. */
const SHAPES = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'triangle-down'];

function coloursOf(peers: string[]): (readonly [string, string])[] {
	let others = 0;
	return peers.map((peer) => {
		if (peer.startsWith('bare')) return BARE;
		return PEERS[peer] ?? OTHERS[others++ % OTHERS.length] ?? BARE;
	});
}

/** A row for each case, with a lane for each library: its median and quartiles. */
function dotsOf(result: Result): TopLevelSpec {
	const shown = { ...result, rows: shownOf(result) };
	const scale = scaleOf(shown);
	const peers = peersOf(shown);
	const x = {
		type: 'quantitative' as const,
		scale,
		axis: { title: axisOf(shown, scale), ...ticksOf(shown, scale) }
	};
	return {
		...common(shown),
		width: 640,
		height: { step: Math.max(8, 16 / peers.length), for: 'offset' },
		encoding: {
			y: {
				field: 'case',
				type: 'nominal',
				sort: null,
				axis: { title: null, grid: true, tickBand: 'extent', labelLimit: 460 },
				scale: { paddingInner: 0.25 }
			},
			yOffset: { field: 'peer', sort: peers }
		},
		layer: [
			{
				mark: { type: 'rule', strokeWidth: 2.5, opacity: 0.55 },
				encoding: {
					x: { field: 'low', ...x },
					x2: { field: 'high' },
					color: colourOf(peers)
				}
			},
			{
				mark: { type: 'point', filled: true, size: 52, opacity: 1 },
				encoding: {
					x: { field: 'median', ...x },
					color: colourOf(peers),
					shape: shapeOf(peers)
				}
			}
		]
	};
}

/** A line for each library, over the growing parameter. */
function linesOf(result: Result): TopLevelSpec {
	const peers = peersOf(result).filter((peer) => !peer.startsWith('bare'));
	const scale = { type: 'log' as const };
	const by = result.title.slice(result.title.lastIndexOf(' by ') + 4);
	return {
		...common({ ...result, rows: result.rows.filter(({ peer }) => peers.includes(peer)) }),
		width: 640,
		height: 300,
		encoding: {
			x: {
				field: 'case',
				type: 'ordinal',
				sort: casesOf(result),
				axis: { title: by, labelAngle: 0 },
				scale: { type: 'point' }
			}
		},
		layer: [
			{
				mark: { type: 'line', strokeWidth: 2 },
				encoding: {
					y: {
						field: 'median',
						type: 'quantitative',
						scale,
						axis: { title: axisOf(result, scale), ...ticksOf(result, scale) }
					},
					color: colourOf(peers)
				}
			},
			{
				mark: { type: 'point', filled: true, size: 56, opacity: 1 },
				encoding: {
					y: { field: 'median', type: 'quantitative' },
					color: colourOf(peers),
					shape: shapeOf(peers)
				}
			}
		]
	};
}

function isGrowth({ group }: Result): boolean {
	return group.startsWith('growth-');
}

function colourOf(peers: string[]): object {
	return {
		field: 'peer',
		type: 'nominal',
		scale: { domain: peers, range: coloursOf(peers).map(([light]) => light) },
		legend: { title: null }
	};
}

function shapeOf(peers: string[]): object {
	const range = peers.map((_, at) => SHAPES[at % SHAPES.length]);
	return {
		field: 'peer',
		type: 'nominal',
		scale: { domain: peers, range },
		legend: { title: null }
	};
}

/** Rows with a baseline are shown without it. */
function shownOf({ rows }: Result): Row[] {
	const over = rows.filter((row) => row.over !== undefined);
	return over.length > 0 ? over : rows;
}

/** On a logarithmic scale, only the powers of ten. */
function ticksOf({ rows }: Result, { type }: { type: string }): object {
	if (type !== 'log') return { tickCount: 6 };
	const powers = Array.from({ length: 13 }, (_, at) => 10 ** (at - 4));
	const least = Math.min(...rows.map(({ low, median }) => (low > 0 ? low : median)));
	const most = Math.max(...rows.map(({ high }) => high));
	const between = powers.filter((power) => power > least / 10 && power < most * 10);
	return { values: between };
}

/** Values that span orders of magnitude need a logarithmic scale, which cannot show values of 0 or less. */
function scaleOf({ rows }: Result): { type: 'log' | 'linear'; zero?: boolean } {
	const values = rows.map(({ median }) => median).filter((value) => value > 0);
	const wide = Math.max(...values) / Math.min(...values) > 20;
	return wide ? { type: 'log' } : { type: 'linear', zero: true };
}

function axisOf({ unit, rows }: Result, { type }: { type: string }): string {
	const over = rows.some((row) => row.over !== undefined) ? ' over bare' : '';
	return `${unit}${over}${type === 'log' ? ' (logarithmic)' : ''}`;
}

function common(result: Result): Pick<TopLevelSpec, 'data' | 'config' | 'background' | 'padding'> {
	const log = isGrowth(result) || scaleOf(result).type === 'log';
	const shown = log
		? result.rows.filter(({ median }) => median > 0).map(aboveNothing)
		: result.rows;
	return {
		data: { values: shown.map((row) => ({ ...row })) },
		background: PAPER[0],
		padding: 14,
		config: {
			font: 'system-ui, -apple-system, Segoe UI, sans-serif',
			view: { stroke: null },
			axis: {
				labelColor: INK[0],
				titleColor: QUIET[0],
				titleFontWeight: 'normal',
				gridColor: RULE[0],
				domainColor: RULE[0],
				tickColor: RULE[0],
				labelFontSize: 12,
				titleFontSize: 12
			},
			legend: {
				labelColor: INK[0],
				labelFontSize: 12,
				labelLimit: 0,
				orient: 'top',
				columns: 4,
				symbolSize: 70,
				symbolOpacity: 1
			}
		}
	};
}

/** A quartile below nothing ends at the edge. */
function aboveNothing(row: Row): Row {
	return row.low > 0 ? row : { ...row, low: row.median };
}

/** Adds a title for screen readers, and other colours for a dark background. */
function finished(svg: string, title: string): string {
	const pairs = [PAPER, INK, QUIET, RULE, BARE, ...OTHERS, ...Object.values(PEERS)];
	const dark = pairs
		.map(
			([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`
		)
		.join('');
	const style = `<style>@media (prefers-color-scheme: dark){${dark}}</style>`;
	return `${svg.replace(
		/<svg [^>]*>/,
		(tag) =>
			`${tag.replace('<svg ', '<svg role="img" ')}<title>${escaped(title)}</title>${style}`
	)}\n`;
}

function escaped(text: string): string {
	return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
