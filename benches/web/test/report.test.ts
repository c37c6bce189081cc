import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { answersOf } from '../src/report/answers.ts';
import { pageOf } from '../src/report/page.ts';
import { plotOf } from '../src/report/plot.ts';
import { Results } from '../src/report/results.ts';
import { targetsOf } from '../src/report/targets.ts';
import { quantile, spread, type Result, type Row } from '../src/results.ts';

function resultOf(group: string, rows: Row[]): Result {
	return {
		group,
		title: 'A group',
		unit: 'µs',
		lowerIsBetter: true,
		method: 'Measured.',
		versions: { node: '24.0.0' },
		machine: { processor: 'one' },
		rows
	};
}

function resultsOf(...all: Result[]): Results {
	const folder = mkdtempSync(join(tmpdir(), 'vestiary-bench-'));
	for (const result of all)
		writeFileSync(join(folder, `${result.group}.json`), JSON.stringify(result));
	return Results.read(folder);
}

const row = (name: string, peer: string, ...samples: number[]): Row => ({
	case: name,
	peer,
	...spread(samples)
});

const HANDLE = resultOf('handle-sequential', [
	row('valid cookie, read', 'vestiary', 2, 1, 3, 4),
	row('valid cookie, read', 'svelte-kit-sessions', 60),
	row('no cookie', 'vestiary', 0.7)
]);

test('medians and quartiles lie between the samples', () => {
	expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25, samples: 4 });
	expect(quantile([1, 2, 3], 0.99)).toBeCloseTo(2.98);
	expect(() => quantile([], 0.5)).toThrow('nothing was measured');
});

test('a target is reached, missed, or was not measured', () => {
	const targets = targetsOf(resultsOf(HANDLE));
	const of = (what: string): unknown => targets.find((target) => target.what === what);
	expect(of('handle, valid cookie, read, over bare')).toMatchObject({ reached: 2.5, ok: true });
	expect(of('less than svelte-kit-sessions, sequential')).toMatchObject({
		reached: 24,
		ok: true
	});
	expect(of('handle, no cookie, over bare')).toMatchObject({ reached: 0.7, ok: false });
	expect(of('handle, forged cookie, over bare')).toMatchObject({ ok: undefined });
});

test('two rows of one measurement become one, with the baseline', () => {
	const rows = [
		row('a', 'bare', 100),
		row('b', 'bare', 200),
		row('a', 'vestiary', 130),
		{ ...row('a', 'vestiary', 30), over: 'bare' }
	];
	const results = resultsOf(resultOf('native-layer', rows));
	expect(results.row('native-layer', 'a')).toMatchObject({ median: 30, absolute: 130 });
	expect(pageOf(results, String)).toContain('| a | 100 | 30 |');
});

test('a baseline that was subtracted from all rows is named beside them', () => {
	const rows = [row('bare', 'bare', 100), { ...row('a', 'vestiary', 30), over: 'bare' }];
	const page = pageOf(resultsOf(resultOf('handle-sequential', rows)), String);
	expect(page).toContain('bare itself takes 100 µs.');
	expect(page).toContain('| a | 30 |');
});

test('the answers set the libraries side by side, with a dash for one that was not measured', () => {
	const answers = answersOf(resultsOf(HANDLE));
	expect(answers).toContain('| Read the session | 2.5 µs | 60 µs | – |');
	expect(answers).toContain('| A visitor without a cookie | 0.7 µs | – | – |');
	expect(answers).toContain('| Log in | – | – | – |');
});

test('the page has every group in its part, with its median and spread', () => {
	const native = resultOf('native-layer', [row('valid cookie, read', 'vestiary', 1_234.5)]);
	const page = pageOf(resultsOf(native, HANDLE), (group) => `${group}.svg`);
	expect(page).toContain('| valid cookie, read | 2.5 (1.75 – 3.25) | 60 |');
	expect(page).toContain('| no cookie | 0.7 | – |');
	expect(page).toContain('![A group, in µs](native-layer.svg)');
	expect(page.indexOf('## SvelteKit')).toBeLessThan(page.indexOf('## Rust services'));
});

test('every colour of a plot has another for dark paper', async () => {
	const svg = await plotOf(HANDLE);
	const style = /<style>.*<\/style>/.exec(svg)?.[0] ?? '';
	const drawing = svg.replace(style, '');
	const colours = new Set(drawing.match(/#[0-9a-f]{6}/g));
	expect(colours.size).toBeGreaterThan(4);
	for (const colour of colours) expect(style).toContain(`[fill="${colour}"]`);
	expect(style).toContain('prefers-color-scheme: dark');
});

test('values of 0 or less are left out of a logarithmic scale', async () => {
	const rows = [row('a', 'vestiary', -1), row('a', 'iron-session', 1), row('b', 'vestiary', 500)];
	expect(await plotOf(resultOf('handle-sequential', rows))).not.toContain('NaN');
});

test('rows with another unit have a table of their own, and are still found', () => {
	const results = resultsOf(
		resultOf('scale-native', [
			{ ...row('read', 'vestiary', 5), unit: 'ns' },
			{ ...row('resident', 'vestiary', 340), unit: 'bytes' }
		])
	);
	expect(results.all.map(({ group, unit, rows }) => [group, unit, rows.length])).toEqual([
		['scale-native-in-ns', 'ns', 1],
		['scale-native-in-bytes', 'bytes', 1]
	]);
	expect(results.median('scale-native', 'resident')).toBe(340);
	expect(pageOf(results, (group) => `${group}.svg`)).toContain('### A group, in bytes');
});
