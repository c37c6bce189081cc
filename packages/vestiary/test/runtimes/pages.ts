import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { run } from './run.js';

const ROOT = new URL('../../../../', import.meta.url).pathname;

/**
 * Does in an app as a page of the documentation says: writes each file that a sample names in its first line,
 * for this major version of SvelteKit, and runs each command that makes a secret.
 */
export async function follow(page: string, folder: string, kit: 2 | 3): Promise<string[]> {
	const text = await readFile(join(ROOT, page), 'utf8');
	const names: string[] = [];
	for (const [, language = '', code = ''] of text.matchAll(/^```(\w+)\n(.*?)^```$/gms)) {
		for (const command of language === 'sh' ? code.split('\n') : [])
			if (command.endsWith('>> .env')) await run('sh', ['-c', command], folder);
		const [, name = '', note] =
			/^(?:\/\/|<!--) (src\/\S+?)(?:, (.+?))?(?: -->)?\n/.exec(code) ?? [];
		const isMeant = note === undefined || note === `SvelteKit ${kit}`;
		if (!/^(?:ts|svelte)$/.test(language) || name === '' || !isMeant) continue;
		const file = join(folder, name);
		await mkdir(dirname(file), { recursive: true });
		await writeFile(file, code);
		names.push(name);
	}
	return names;
}
