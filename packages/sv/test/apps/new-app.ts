import { expect } from 'vitest';

import { addVestiary, contents, emptyFolder, install, KIT3, sv, useKit3 } from './app.ts';

/** The adapter for Workers, as `sv` adds it. */
export const CLOUDFLARE = 'sveltekit-adapter=adapter:cloudflare+cfTarget:workers';

/** An app that `sv create` makes and the add-on completes. */
export interface NewApp {
	readonly name: string;
	readonly types?: 'ts' | 'jsdoc' | 'none';
	readonly kit?: 2 | 3;
	/** Other add-ons, with their answers. */
	readonly others?: readonly string[];
	/** Whether the other add-ons are added by the same command. */
	readonly together?: boolean;
	readonly store: string;
	/** Changes the app before other add-ons are added. */
	readonly first?: (folder: string) => Promise<void>;
	/** Changes the app before Vestiary is added. */
	readonly before?: (folder: string) => Promise<void>;
	/** How visitors of the demo log in. Default: with a password. */
	readonly login?: 'password' | 'oidc';
}

/** Makes an app with `sv create`, completes it with the add-on, and installs its packages. Returns its folder. */
export async function createApp(app: NewApp): Promise<string> {
	const { name, types = 'ts', kit = 2, others = [], store, login = 'password' } = app;
	const folder = await emptyFolder(name);
	const typed = types === 'none' ? ['--no-types'] : ['--types', types];
	await sv(
		['create', '--template', 'minimal', ...typed, '--no-add-ons', '--no-install', '.'],
		folder
	);
	await app.first?.(folder);
	if (others.length > 0 && !app.together)
		await sv(['add', ...others, '--no-git-check', '--no-install'], folder);
	if (kit === 3) await useKit3(folder);
	await app.before?.(folder);
	const answers = `store:${store}+demo:yes+oidc:${login === 'oidc' ? 'yes' : 'no'}+from:none`;
	await addVestiary(folder, answers, app.together ? others : []);
	const once = await contents(folder);
	await addVestiary(folder, answers);
	expect(await contents(folder)).toEqual(once);
	await install(folder, kit === 3 ? KIT3 : {});
	return folder;
}
