import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium, type BrowserContext, type Page } from 'playwright-core';

/** How the tests start Chromium: alone on the machine, and silent. */
export const LAUNCH = {
	executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
	headless: true,
	args: [
		'--no-sandbox',
		'--disable-gpu',
		'--disable-background-networking',
		'--disable-component-update',
		'--disable-sync',
		'--no-first-run'
	]
};

/** A fresh Chromium. */
export interface FreshChromium {
	browser: BrowserContext;
	page: Page;
	close: () => Promise<void>;
}

/** @param switches More switches of the command line */
export async function freshChromium(switches: string[] = []): Promise<FreshChromium> {
	const profile = await mkdtemp(join(tmpdir(), 'vestiary-chromium-'));
	const browser = await chromium.launchPersistentContext(profile, {
		...LAUNCH,
		args: [...LAUNCH.args, ...switches],
		viewport: { width: 960, height: 640 },
		colorScheme: 'light'
	});
	return {
		browser,
		page: browser.pages()[0] ?? (await browser.newPage()),
		close: async () => {
			await browser.close();
			await rm(profile, { recursive: true, force: true });
		}
	};
}
