import { printedLike } from './edits.ts';
import type { Draft } from './project.ts';
import { Refusal } from './refusal.ts';

/** A source file of the app. */
export interface Source {
	readonly path: string;
	readonly text: string;
}

/** The source files of the app that may import a module. */
export function sourcesOf(draft: Draft): Source[] {
	const paths = draft.project.sources().filter((name) => /\.(?:[cm]?[jt]s|svelte)$/.test(name));
	return paths.map((path) => ({ path, text: draft.read(path) ?? '' }));
}

/** The refusal of a component that names a library: only modules are changed. */
export function inComponent(path: string, library: string): Refusal {
	return Refusal.until(`${path} names ${library}: move that into a module`);
}

const GROUPS = ['dependencies', 'devDependencies'] as const;

/** The text of a package.json, without a package. */
export function withoutPackage(text: string, name: string): string {
	const manifest = JSON.parse(text) as Partial<Record<(typeof GROUPS)[number], object>>;
	let found = false;
	for (const group of GROUPS) {
		const packages = Object.entries(manifest[group] ?? {});
		if (!packages.some(([one]) => one === name)) continue;
		found = true;
		manifest[group] = Object.fromEntries(packages.filter(([one]) => one !== name));
	}
	return found ? printedLike(text, manifest) : text;
}

/**
 * Refuses versions that are not among these. A range counts by the version with which it begins.
 * @throws Refusal
 */
export function checkVersion(draft: Draft, name: string, majors: readonly number[]): void {
	const version = draft.project.version(name);
	const major = Number(/\d+/.exec(version ?? '')?.[0]);
	if (version === undefined || majors.includes(major)) return;
	throw Refusal.until(
		`the app has ${name} ${version}, and this add-on knows ${name} ${majors.join(' and ')}: update it first`
	);
}
