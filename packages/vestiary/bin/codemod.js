#!/usr/bin/env node
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { migrateManifest, migrateSource } from '../dist/codemod/svelte-kit-sessions.js';

const USAGE = `Usage: npx vestiary migrate [FOLDER] [--dry-run]

Changes an app that uses svelte-kit-sessions: imports, types and package.json. Its
visitors stay logged in. --dry-run shows the files without changing them.`;

const OPERATORS = `That is not a command of the npm package. It has one, which changes the code of an app:

${USAGE}

Stores, cookies and sessions are the matter of the operator's tool, which is called
vestiary, too: cargo install vestiary-cli. It has its own \`migrate\`, which copies stores.`;

/** Folders without code of the application. */
const SKIPPED = new Set(['node_modules', 'build', 'dist', 'target']);
const SOURCE = /\.(?:[cm]?[jt]sx?|svelte)$/;

process.exitCode = main(process.argv.slice(2));

function main([command, ...args]) {
	if (command === undefined || command === 'help' || [command, ...args].includes('--help')) {
		console.log(USAGE);
		return 0;
	}
	const folders = args.filter((arg) => !arg.startsWith('-'));
	const options = args.filter((arg) => arg.startsWith('-'));
	const known = options.every((option) => option === '--dry-run');
	if (command !== 'migrate' || !known || folders.length > 1) {
		console.error(OPERATORS);
		return 2;
	}
	const [folder = '.'] = folders;
	try {
		return migrate(folder, options.length > 0);
	} catch (error) {
		console.error(`${join(folder, 'package.json')}: ${error.message}`);
		return 1;
	}
}

function migrate(folder, isDry) {
	const manifest = join(folder, 'package.json');
	const before = readFileSync(manifest, 'utf8');
	const changed = new Map();
	const mentions = [];
	const texts = [];
	for (const file of sources(folder)) {
		const source = readFileSync(file, 'utf8');
		const migrated = migrateSource(source);
		texts.push(source);
		if (migrated.changes > 0) changed.set(file, migrated.text);
		for (const line of migrated.mentions) mentions.push(`${relative(folder, file)}:${line}`);
	}
	const uses = (name) =>
		texts.some((text) => text.includes(`'${name}'`) || text.includes(`"${name}"`));
	const after = migrateManifest(before, `^${version()}`, uses);
	if (after !== before) changed.set(manifest, after);
	for (const [file, text] of changed) {
		if (!isDry) writeFileSync(file, text);
		console.log(relative(folder, file));
	}
	for (const place of mentions)
		console.log(`${place} names svelte-kit-sessions in another way: look at it`);
	if (changed.size === 0) console.log('Nothing here uses svelte-kit-sessions.');
	else if (isDry) console.log('These files would change.');
	else
		console.log(
			'Changed. Now run `npm install`, and read docs/how-to/migrate-from-svelte-kit-sessions.md.'
		);
	return 0;
}

/** The source files below a folder. */
function* sources(folder) {
	for (const entry of readdirSync(folder, { withFileTypes: true })) {
		const path = join(folder, entry.name);
		if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue;
		if (entry.isDirectory()) yield* sources(path);
		else if (SOURCE.test(entry.name)) yield path;
	}
}

function version() {
	return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
}
