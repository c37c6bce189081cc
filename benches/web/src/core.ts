/** The core inside the package, which it does not export: only these benchmarks reach in there. */
import 'vestiary';

import type { SessionStoreData } from 'vestiary';

export interface Core {
	readCookies: (header: string | null) => string[] | undefined;
	sign: (id: string) => string;
	inspect: (text: string) => number;
	encode: (data: string) => string;
	seal: (id: string, key: string, text: string) => string;
	open: (id: string, key: string, text: string) => string;
	storeKey: (id: string) => string;
}

interface CoreModule {
	Core: new (options: {
		cookie: object;
		secrets: string[];
		sealSecrets: string[];
		hashIds: boolean;
		production: boolean;
	}) => Core;
	readRecord: (text: string, found: number) => SessionStoreData;
}

export async function loadCore(
	secret: string
): Promise<{ core: Core; readRecord: CoreModule['readRecord'] }> {
	const module = new URL('core.js', import.meta.resolve('vestiary')).href;
	const { Core, readRecord } = (await import(module)) as CoreModule;
	const core = new Core({
		cookie: {},
		secrets: [secret],
		sealSecrets: [secret],
		hashIds: true,
		production: true
	});
	return { core, readRecord };
}
