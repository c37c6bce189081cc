import { expect } from 'vitest';

import type { Server } from '../../../vestiary/test/runtimes/run.ts';
import {
	addVestiary,
	change,
	contents,
	emptyFolder,
	install,
	KIT3,
	readManifest,
	script,
	serveDev,
	sv,
	useKit3
} from './app.ts';
import { write, type FormerApp, type Language } from './former-apps.ts';

/** A browser without a window: cookies, and the text of the page. */
export class Browser {
	readonly cookies: Map<string, string>;

	constructor(cookies: Iterable<[string, string]> = []) {
		this.cookies = new Map(cookies);
	}

	/** Asks for the page, or posts a form to one of its actions. */
	async ask(server: Server, action?: string, form: Record<string, string> = {}): Promise<string> {
		const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
		const response = await fetch(`${server.url}/${action === undefined ? '' : `?/${action}`}`, {
			headers: { cookie, accept: 'text/html', origin: server.url },
			...(action !== undefined && { method: 'POST', body: new URLSearchParams(form) })
		});
		for (const header of response.headers.getSetCookie()) {
			const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? [];
			if (/;\s*max-age=0\b/i.test(header) || /;\s*expires=thu, 01 jan 1970/i.test(header))
				this.cookies.delete(name);
			else this.cookies.set(name, value);
		}
		return (
			/user: .*?(?=<)/.exec((await response.text()).replace(/<!--.*?-->/g, ''))?.[0] ??
			`${response.status}`
		);
	}
}

/** An app that leaves its library for sessions. */
export interface Case {
	readonly name: string;
	readonly from: string;
	readonly language: Language;
	/** The version of SvelteKit. */
	readonly kit: 2 | 3;
	readonly app: FormerApp;
	/** The name of the old cookie. */
	readonly cookie: string;
}

/** Makes the old app. Returns its folder, and the function that ends the servers that it needs. */
export async function makeFormerApp({ name, language, kit, app }: Case): Promise<{
	folder: string;
	stop: () => Promise<unknown>;
}> {
	const folder = await emptyFolder(name);
	const types = language === 'ts' ? 'ts' : 'jsdoc';
	await sv(
		['create', '--template', 'minimal', '--types', types, '--no-add-ons', '--no-install', '.'],
		folder
	);
	if (kit === 3) await useKit3(folder);
	await write(folder, app.files);
	const { packages: dependencies, overrides } = app;
	const manifest = { ...(await readManifest(folder)), dependencies, overrides };
	await change(folder, 'package.json', () => JSON.stringify(manifest, null, '\t'));
	const started = await app.start?.(folder);
	const stop = async (): Promise<unknown> => started?.stop();
	try {
		await change(folder, '.env', (text) => `${text}${started?.variables ?? ''}`);
		await installOld(kit, folder);
		await app.prepare?.(folder);
		await script(folder, 'check');
	} catch (error) {
		await stop();
		throw error;
	}
	return { folder, stop };
}

async function installOld(kit: 2 | 3, folder: string): Promise<void> {
	await install(folder, kit === 3 ? KIT3 : {});
}

/** Serves the old app while a visitor logs in. Returns the visitor, whose cookie has the library's name. */
export async function visitFormerApp(
	{ cookie }: Case,
	folder: string,
	visit: (server: Server, visitor: Browser) => Promise<void>
): Promise<Browser> {
	const visitor = new Browser();
	const server = await serveDev(folder);
	try {
		await visit(server, visitor);
	} finally {
		await server.stop();
	}
	expect([...visitor.cookies.keys()]).toEqual([cookie]);
	return visitor;
}

/** Adds Vestiary to the old app, twice, and builds it. */
export async function leave({ from, kit, app }: Case, folder: string): Promise<void> {
	const answers = `store:sqlite+demo:no+oidc:no+from:${from}`;
	await addVestiary(folder, answers);
	const once = await contents(folder);
	await addVestiary(folder, answers);
	expect(await contents(folder)).toEqual(once);
	await installOld(kit, folder);
	await app.prepare?.(folder);
	await script(folder, 'check');
	await script(folder, 'build');
}
