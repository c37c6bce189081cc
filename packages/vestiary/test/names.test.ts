import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import * as vestiary from '../src/index.js';
import { eventsOf, stringsOf } from './source-types.js';

interface Names {
	cases: { event?: string; code?: string; npm?: string | string[]; rust?: string | string[] }[];
}

const ROOT = new URL('../../../', import.meta.url);

/** The names that both products have, and those of each alone. The lists of Rust are compared with it, too. */
const { cases } = JSON.parse(readFileSync(new URL('vectors/names.json', ROOT), 'utf8')) as Names;

const events = cases.filter(({ event, npm }) => event !== undefined && npm !== undefined);
const codes = cases.filter(({ code, npm }) => code !== undefined && npm !== undefined);

test('the events in the types are those in the list, with the same fields', () => {
	const declared = eventsOf('SessionEvent').map(({ event, fields }) => ({ event, npm: fields }));
	const listed = events.map(({ event, npm }) => ({ event, npm }));
	expect(new Set(declared)).toEqual(new Set(listed));
});

test('the codes in the types are those in the list, each under its class', () => {
	for (const name of ['ConfigError', 'DataError', 'StoreError', 'OnceError', 'LogoutError']) {
		const listed = codes.filter(({ npm }) => npm === name).map(({ code }) => code);
		expect(stringsOf(`${name}Code`).sort(), name).toEqual(listed.sort());
		codes.forEach(({ npm }) => {
			expect(vestiary).toHaveProperty(String(npm));
		});
	}
	// Classes of one code have no type of their own.
	const others = codes.filter(
		({ npm }) => !/^(?:Config|Data|Store|Once|Logout)Error$/.test(String(npm))
	);
	expect(stringsOf('VestiaryErrorCode').sort()).toEqual(others.map(({ code }) => code).sort());
});

test('each class of one code has the code in the list', () => {
	const { LoginOutdatedError, ResponseSentError, TooManySessionsError, UpdateNestedError } =
		vestiary;
	for (const error of [
		new LoginOutdatedError(),
		new ResponseSentError(),
		new TooManySessionsError('too_many_sessions', ''),
		new UpdateNestedError()
	]) {
		const listed = codes.filter(({ npm }) => npm === error.constructor.name);
		expect(listed).toMatchObject([{ code: error.code }]);
	}
});

test('docs/reference/events.md has a row for each event', () => {
	const page = readFileSync(new URL('docs/reference/events.md', ROOT), 'utf8');
	const [, table = ''] = /\n\| event .*\n\|[- |]+\n((?:\|.*\n)+)/.exec(page) ?? [];
	const rows = [...table.matchAll(/^\| `(\w+)`(.*)$/gm)];
	expect(rows.map(([, name]) => name).sort()).toEqual(events.map(({ event }) => event).sort());
	for (const [, name, text] of rows) {
		const fields = events.find(({ event }) => event === name)?.npm ?? [];
		for (const field of fields)
			if (name !== 'store_failed') expect(text, name).toContain(`\`${field}\``);
	}
});

test('docs/reference/rust.md names each event that only one of the products has', () => {
	const page = readFileSync(new URL('docs/reference/rust.md', ROOT), 'utf8');
	for (const { event, npm, rust } of cases)
		if (event !== undefined && (npm === undefined || rust === undefined))
			expect(page).toContain(`\`${event}\``);
});
