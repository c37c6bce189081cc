/** The results of both suites, the JavaScript and the native one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Result, Row } from '../results.ts';

export class Results {
	readonly all: Result[];

	private constructor(all: Result[]) {
		this.all = all;
	}

	static read(folder: string): Results {
		const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
		const all = files.map((name) => {
			const result = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Result;
			return byUnit({ ...result, rows: joined(result.rows) });
		});
		return new Results(all.flat().sort((a, b) => placeOf(a.group) - placeOf(b.group)));
	}

	row(group: string, name: string, peer = 'vestiary'): Row | undefined {
		const results = this.all.filter(
			(one) => one.group === group || one.group.startsWith(`${group}-in-`)
		);
		const rows = results.flatMap((result) => result.rows);
		return rows.find((row) => row.case === name && row.peer === peer);
	}

	median(group: string, name: string, peer?: string): number | undefined {
		return this.row(group, name, peer)?.median;
	}
}

/** A table and a plot have a single unit. */
function byUnit(result: Result): Result[] {
	const units = [...new Set(result.rows.map(({ unit }) => unit ?? result.unit))];
	if (units.length < 2) return [result];
	return units.map((unit) => ({
		...result,
		group: `${result.group}-in-${unit}`,
		title: `${result.title}, in ${unit}`,
		unit,
		rows: result.rows.filter((row) => (row.unit ?? result.unit) === unit)
	}));
}

/** Joins two rows of one measurement: the total, and the part over the baseline. */
function joined(rows: Row[]): Row[] {
	const same = (one: Row, other: Row): boolean =>
		one.case === other.case && one.peer === other.peer;
	return rows
		.filter((row) => row.over !== undefined || !rows.some((one) => one.over && same(one, row)))
		.map((row) => {
			const absolute = rows.find((one) => one.over === undefined && same(one, row))?.median;
			return row.over === undefined || absolute === undefined ? row : { ...row, absolute };
		});
}

export function peersOf({ rows }: Result): string[] {
	return [...new Set(rows.map(({ peer }) => peer))];
}

export function casesOf({ rows }: Result): string[] {
	return [...new Set(rows.map((row) => row.case))];
}

/** The parts of the page; a group belongs to the first whose prefix it has. */
export const SECTIONS: { title: string; groups: string[] }[] = [
	{ title: 'SvelteKit, in process', groups: ['handle-sequential', 'handle-in-flight', 'store-'] },
	{ title: 'How the cost grows', groups: ['growth-'] },
	{ title: 'Redis', groups: ['redis-'] },
	{ title: 'Databases', groups: ['stores-'] },
	{ title: 'SvelteKit over HTTP', groups: ['http-'] },
	{ title: 'Cloudflare’s workerd', groups: ['workerd-'] },
	{ title: 'Single steps', groups: ['micro-'] },
	{ title: 'Many sessions in memory', groups: ['scale-'] },
	{ title: 'Size and start', groups: ['size', 'start'] },
	{ title: 'Rust services', groups: ['native-'] }
];

export function sectionOf(group: string): string {
	const found = SECTIONS.find(({ groups }) => groups.some((one) => group.startsWith(one)));
	return found?.title ?? 'Others';
}

function placeOf(group: string): number {
	const order = SECTIONS.flatMap(({ groups }) => groups);
	const place = order.findIndex((one) => group.startsWith(one));
	return place === -1 ? order.length : place;
}
