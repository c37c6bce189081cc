/** The results as Markdown. */
import type { Result, Row } from '../results.ts';
import { casesOf, peersOf, SECTIONS, sectionOf, type Results } from './results.ts';
import { targetsOf } from './targets.ts';

/** All tables; the plot of a group is at `image(group)`. */
export function pageOf(results: Results, image: (group: string) => string): string {
	const parts = ['## Targets', targetTable(results)];
	for (const { title } of [...SECTIONS, { title: 'Others' }]) {
		const groups = results.all.filter(({ group }) => sectionOf(group) === title);
		if (groups.length === 0) continue;
		parts.push(`## ${title}`);
		for (const result of groups) parts.push(groupOf(result, image(result.group)));
	}
	parts.push('## Machine and versions', versionsOf(results));
	return parts.join('\n\n');
}

function targetTable(results: Results): string {
	const rows = targetsOf(results).map(({ what, wanted, reached, unit, ok }) => [
		what,
		wanted,
		reached === undefined ? 'not measured' : `${number(reached)}${unit}`,
		ok === undefined ? '–' : ok ? 'yes' : '**no**'
	]);
	return table(['', 'target', 'measured', 'reached'], rows);
}

function groupOf(result: Result, image: string): string {
	const { title, unit, method, lowerIsBetter, rows } = result;
	// If the same baseline was subtracted from all others, it is printed beside them.
	const subtracted = rows.filter(({ peer }) => rows.some(({ over }) => over === peer));
	const bases = casesOf({ ...result, rows: subtracted }).length > 1 ? [] : subtracted;
	const compared = { ...result, rows: rows.filter((row) => !bases.includes(row)) };
	const peers = peersOf(compared);
	const lines = casesOf(compared).map((name) => [
		name,
		...peers.map((peer) => cell(rows.find((row) => row.case === name && row.peer === peer)))
	]);
	return [
		`### ${title}`,
		`${method} Numbers are in ${unit}; ${lowerIsBetter ? 'less' : 'more'} is better.`,
		bases.map((row) => `${row.peer} itself takes ${cell(row)} ${unit}.`).join(' '),
		`![${title}, in ${unit}](${image})`,
		table(['', ...peers], lines)
	]
		.filter(Boolean)
		.join('\n\n');
}

function cell(row: Row | undefined): string {
	if (!row) return '–';
	const { median, low, high } = row;
	return low === high ? number(median) : `${number(median)} (${number(low)} – ${number(high)})`;
}

function versionsOf({ all }: Results): string {
	const machines = new Set(
		all.map(({ machine }) =>
			Object.entries(machine)
				.map(([name, value]) => `${name}: ${value}`)
				.join('; ')
		)
	);
	const versions = new Map<string, string>();
	for (const result of all)
		for (const [name, version] of Object.entries(result.versions)) versions.set(name, version);
	const sorted = [...versions].sort(([a], [b]) => a.localeCompare(b));
	return [
		[...machines].map((machine) => `- ${machine}`).join('\n'),
		table(
			['', 'version'],
			sorted.map(([name, version]) => [name, version])
		)
	].join('\n\n');
}

export function table(head: string[], rows: string[][]): string {
	const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
	const rule = head.map((_, at) => (at === 0 ? '---' : '--:'));
	return [head, rule, ...rows].map(line).join('\n');
}

const THREE_DIGITS = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

export function number(value: number): string {
	return Number.isInteger(value) ? value.toLocaleString('en') : THREE_DIGITS.format(value);
}
