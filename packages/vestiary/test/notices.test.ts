import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);

test('the package has the notices of every crate that is linked into the WebAssembly', () => {
	const tree = execFileSync(
		'cargo',
		[
			...['tree', '--locked', '--package', 'vestiary-wasm'],
			...['--target', 'wasm32-unknown-unknown', '--edges', 'normal,no-proc-macro'],
			...['--prefix', 'none', '--format', '{p}']
		],
		{ cwd: root, encoding: 'utf8' }
	);
	const linked = tree
		.split('\n')
		.filter((line) => line !== '' && !line.includes('/'))
		.map((line) => line.replace(' v', ' ').split(' ').slice(0, 2).join(' '));
	expect(linked.length).toBeGreaterThan(20);
	// `cargo xtask build` writes it, as it packs the package.
	const notices = readFileSync(new URL('packages/vestiary/THIRD-PARTY-NOTICES', root), 'utf8');
	for (const name of new Set(linked)) expect(notices).toContain(`\n${name}: `);
	expect(notices).toContain('subtle 2.');
	expect(notices).toContain('Redistributions in binary form must reproduce the above copyright');
	const { files } = JSON.parse(
		readFileSync(new URL('packages/vestiary/package.json', root), 'utf8')
	) as { files: string[] };
	expect(files).toContain('THIRD-PARTY-NOTICES');
});
