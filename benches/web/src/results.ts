/** The results of a group, as they are written for the report. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Result {
	group: string;
	title: string;
	unit: string;
	lowerIsBetter: boolean;
	/** The method, in a sentence or two. */
	method: string;
	versions: Record<string, string>;
	machine: Record<string, string>;
	rows: Row[];
}

export interface Row extends Spread {
	case: string;
	peer: string;
	/** The unit, if it differs from the group's. */
	unit?: string;
	/** The baseline that was subtracted, if any. */
	over?: string;
	/** The median without subtraction. */
	absolute?: number;
}

export interface Spread {
	median: number;
	/** The first quartile. */
	low: number;
	/** The third quartile. */
	high: number;
	samples: number;
}

/** A group: its description, and the rows. */
export type Measured = Omit<Result, 'machine' | 'versions'>;

export async function write(folder: string, measured: Measured, peers: string[]): Promise<void> {
	const versions = Object.fromEntries(peers.map((peer) => [peer, versionOf(peer)]));
	const node = process.versions.node;
	const result: Result = { ...measured, versions: { node, ...versions }, machine: machine() };
	await mkdir(folder, { recursive: true });
	const text = `${JSON.stringify(result, undefined, '\t')}\n`;
	await writeFile(join(folder, `${measured.group}.json`), text);
}

export function spread(samples: number[]): Spread {
	const sorted = samples.toSorted((a, b) => a - b);
	return {
		median: quantile(sorted, 0.5),
		low: quantile(sorted, 0.25),
		high: quantile(sorted, 0.75),
		samples: samples.length
	};
}

/** A value that is counted, not timed. */
export function exactly(value: number): Spread {
	return { median: value, low: value, high: value, samples: 1 };
}

/** A quantile of a sorted list, with linear interpolation. */
export function quantile(sorted: ArrayLike<number>, at: number): number {
	const place = (sorted.length - 1) * at;
	const below = sorted[Math.floor(place)];
	const above = sorted[Math.ceil(place)];
	if (below === undefined || above === undefined) throw new Error('nothing was measured');
	return below + (above - below) * (place - Math.floor(place));
}

function machine(): Record<string, string> {
	const [first, ...others] = cpus();
	return {
		processor: `${first?.model ?? 'unknown'}, ${1 + others.length} cores`,
		memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
		system: `Linux ${release()}`
	};
}

function versionOf(name: string): string {
	const manifest = readFileSync(`${folderOf(name)}/package.json`, 'utf8');
	return (JSON.parse(manifest) as { version: string }).version;
}

/** The folder in which npm has put a package. */
export function folderOf(name: string): string {
	for (const folder of ['../node_modules/', '../../../node_modules/']) {
		const path = fileURLToPath(new URL(`${folder}${name}`, import.meta.url));
		if (existsSync(path)) return path;
	}
	throw new Error(`${name} is not installed`);
}
