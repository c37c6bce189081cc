import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { Constant, constant } from '../src/generated/vestiary.js';
import '../src/index.js';
import { full } from '../src/stores/options.js';

const DOCS = new URL('../../../docs/', import.meta.url);

test('stores, which have no WebAssembly, keep records for as long as the core says', () => {
	expect(full({}).ttl).toBe(constant(Constant.StoreTtl));
});

test('each constant has a value', () => {
	const names = Object.values(Constant).filter((one) => typeof one === 'number');
	expect(names.length).toBeGreaterThan(10);
	for (const name of names) expect(constant(name)).toBeGreaterThan(0);
});

test('docs/reference/options.md has the defaults of the core', () => {
	const page = readFileSync(new URL('reference/options.md', DOCS), 'utf8');
	const core = readFileSync(
		new URL('../crates/vestiary/src/constants.rs', DOCS),
		'utf8'
	).replaceAll('_', '');
	for (const [option, name] of [
		['sessionsPerUser', 'SESSIONSPERUSER'],
		['recheckAfter', 'RECHECKAFTER'],
		['storeTimeout', 'STORETIMEOUT']
	] as const) {
		const [, value] = new RegExp(`${name}: \\w+ = (\\d+);`).exec(core) ?? [];
		const [row = ''] = new RegExp(`^\\| \`${option}\`.*$`, 'm').exec(page) ?? [];
		expect(row.replaceAll(',', '')).toContain(`\`${value}\``);
	}
});
