import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { installed, TARBALL } from '../../../vestiary/test/runtimes/packages.ts';
import { run, serve, type Server } from '../../../vestiary/test/runtimes/run.ts';
import { addNonce, addVestiary, sv, wanted } from './app.ts';

/* Apps whose packages another package manager than npm installs. */

const MANAGERS = [
	{ name: 'pnpm', version: '12.4.2', types: 'ts' },
	{ name: 'bun', version: '1.4.4', types: 'jsdoc' },
	{ name: 'yarn', version: '1.22.22', types: 'ts' }
];

test.each(MANAGERS.filter(wanted))('$name', async ({ name, version, types }) => {
	const packages = await installed({ dependencies: { [name]: version } });
	const program = join(packages, 'node_modules/.bin', name);
	// Beside this repository, the app would find packages of the repository that it does not name.
	const folder = await mkdtemp(join(tmpdir(), `vestiary-${name}-`));
	try {
		const create = ['create', '--template', 'minimal', '--types', types, '--no-add-ons'];
		await sv([...create, '--no-install', '.'], folder);
		await addVestiary(folder, 'store:sqlite+demo:yes+oidc:no+from:none');
		await pinned(folder);
		await addNonce(folder);
		const env = { CI: '1', NO_COLOR: '1', NODE_ENV: 'development' };
		await run(program, ['install'], folder, env);
		await run(program, ['run', 'check'], folder, env);
		await run(program, ['run', 'build'], folder, { ...env, NODE_ENV: 'production' });
		const start = (): Promise<Server> =>
			serve(
				program,
				(port) => ['run', 'dev', '--port', `${port}`, '--strictPort'],
				folder,
				() => env
			);
		let server = await start();
		const cookie = await logIn(server);
		expect(await account(server, cookie)).toContain('You are user 1.');
		await server.stop();
		server = await start();
		expect(await account(server, cookie)).toContain('You are user 1.');
		await server.stop();
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
});

/** Names the packed package in place of the published one. */
async function pinned(folder: string): Promise<void> {
	const file = join(folder, 'package.json');
	const manifest = await readFile(file, 'utf8');
	await writeFile(file, manifest.replace(/"vestiary": "[^"]*"/, `"vestiary": "file:${TARBALL}"`));
}

/** Logs in, and returns the cookie. */
async function logIn({ url }: Server): Promise<string> {
	const response = await fetch(`${url}/login`, {
		method: 'POST',
		redirect: 'manual',
		headers: { accept: 'text/html', origin: url },
		body: new URLSearchParams({ name: 'ada', password: 'lovelace' })
	});
	expect(response.status).toBe(303);
	const [header = ''] = response.headers.getSetCookie();
	return header.split(';', 1)[0] ?? '';
}

async function account({ url }: Server, cookie: string): Promise<string> {
	const response = await fetch(`${url}/account`, { headers: { cookie }, redirect: 'manual' });
	return response.text();
}
