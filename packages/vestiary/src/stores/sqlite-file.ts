import { redacted } from '../cause.js';
import { StoreError } from '../errors.js';
import type { PreparingDatabase } from './sqlite-driver.js';

/** The parts of Node.js that are needed for a file. */
interface Node {
	getBuiltinModule?(name: 'node:fs'): typeof import('node:fs') | undefined;
	getBuiltinModule?(name: 'node:sqlite'): typeof import('node:sqlite') | undefined;
}

/**
 * Opens a file with the SQLite of Node.js. SQLite would make it readable for every user of the machine, and gives its
 * other files the same mode.
 *
 * Its modules are not imported, so that a store of another driver can be loaded where they do not exist.
 */
export function opened(file: string): PreparingDatabase {
	const node = (globalThis as { process?: Node }).process;
	const [fs, sqlite] = [
		node?.getBuiltinModule?.('node:fs'),
		node?.getBuiltinModule?.('node:sqlite')
	];
	if (!fs || !sqlite)
		throw new StoreError(
			'store_failed',
			'a path as `database` needs the SQLite of Node.js 22.13 or newer: here, pass an open database, for example of better-sqlite3, bun:sqlite or @libsql/client'
		);
	// `file:` URLs and `:memory:` name no file.
	const isFile = !file.includes(':');
	try {
		if (isFile) fs.closeSync(fs.openSync(file, 'wx', 0o600));
	} catch {
		// The file exists, or SQLite reports why it cannot be created.
	}
	try {
		// Its busy timeout would block all requests of this process.
		return new sqlite.DatabaseSync(file, { timeout: 0 });
	} catch (error) {
		const folder = isFile ? /^.*[\\/]/.exec(file)?.[0] : undefined;
		const missing = folder !== undefined && !fs.existsSync(folder);
		const what = missing
			? 'its folder does not exist: make it before the app starts'
			: 'this process must be able to read and write the file, and to make files beside it';
		throw new StoreError(
			'store_failed',
			`the SQLite file of the option \`database\` cannot be opened: ${what}`,
			{ cause: redacted(error) }
		);
	}
}
