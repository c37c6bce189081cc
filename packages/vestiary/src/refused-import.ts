import { SERVER_ONLY } from './server-only-sentence.js';

/** The part of a plugin's context that tells for whom Vite resolves an import. Before Vite 6, only `ssr` does. */
export interface ResolveContext {
	readonly environment?: { readonly config: { readonly consumer: 'client' | 'server' } };
}

/** The part of the options of `resolveId` that the plugin needs. */
export interface ResolveOptions {
	readonly ssr?: boolean | undefined;
	/** Vite looks for dependencies to bundle. An error there would only leave them out. */
	readonly scan?: boolean | undefined;
}

/**
 * Refuses imports of the package in code for the browser, as a build does, and names the file. The entries for the browser
 * and for Vite are left alone, and so is vitest, whose components run in Node.js.
 */
export class ImportGuard {
	readonly #files = new Set<string>();

	/** @throws Error if this import is refused */
	check(
		{ environment }: ResolveContext,
		source: string,
		importer: string | undefined,
		{ ssr, scan }: ResolveOptions
	): void {
		const forBrowser = environment ? environment.config.consumer === 'client' : ssr !== true;
		if (!forBrowser || scan === true || importer === undefined) return;
		if (!/^vestiary(?:\/|$)/.test(source) || ALLOWED.includes(source)) return;
		// Vite's optimizer bundles the package, and looks at its copy in node_modules.
		if (importer.includes('/node_modules/') || process.env.VITEST !== undefined) return;
		const [file = importer] = importer.split('?', 1);
		this.#files.add(file);
		throw new Error(`${SERVER_ONLY}. The import of '${source}' is in ${file}`);
	}

	/**
	 * Whether pages must be loaded again after this file has changed. Vite does not do so for a module that it could not
	 * send to the browser.
	 */
	needsReload(file: string): boolean {
		return this.#files.delete(file);
	}
}

const ALLOWED = ['vestiary/client', 'vestiary/vite', 'vestiary/package.json'];
