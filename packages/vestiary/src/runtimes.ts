import type { RequestEvent } from '@sveltejs/kit';

import { Cache } from './bounded.js';
import { ConfigError } from './errors.js';
import { MemoryStore } from './memory-store.js';
import { checkNames } from './names.js';
import { checkType } from './option-types.js';
import { refusePromise, runtimeOf, servingRuntimeOf, type Runtime } from './runtime.js';
import { hasVisitor } from './scope.js';
import type { SveltekitSessionConfig } from './types.js';

/** Says which tenant a request belongs to, for {@link sveltekitSessionHandle}. */
export interface TenantOptions {
	/**
	 * Returns the key of a request's tenant, such as its host name. The function of options is called once for each key.
	 * For a tenant that does not exist it must throw, for example by SvelteKit's `error(404)`, because a browser may
	 * send any host name. The options of the 1,000 tenants that were used last are kept.
	 */
	tenant: (event: RequestEvent) => string;
}

/** The runtime of each request, for the options of a handle. A function of options is called once, or once per tenant. */
export function runtimes(
	options: SveltekitSessionConfig | ((event: RequestEvent) => SveltekitSessionConfig),
	tenants: TenantOptions | undefined
): (event: RequestEvent) => Runtime {
	const tenant = tenants && tenantOf(tenants);
	if (typeof options !== 'function') {
		if (tenant)
			throw new ConfigError(
				'options',
				'`tenant` needs a function that returns the options of a tenant, instead of options'
			);
		const runtime = servingRuntimeOf(options);
		return () => runtime;
	}
	const make = (event: RequestEvent): Runtime => {
		const returned = options(event);
		refusePromise('the function of options', returned);
		return servingRuntimeOf(returned);
	};
	const made = new Cache<string, Runtime>(TENANTS);
	let only: Runtime | undefined;
	return (event) => {
		if (only) return only;
		if (!hasVisitor(event)) return runtimeOf(PRERENDERING);
		try {
			if (tenant) return made.get(tenant(event), () => make(event));
			return (only = make(event));
		} catch (error) {
			if (!isPrerendered(error)) throw error;
			return runtimeOf(PRERENDERING);
		}
	};
}

/** The maximum number of tenants whose options are kept. */
const TENANTS = 1_000;

/** The checked function that returns the key of a request's tenant. */
function tenantOf(tenants: TenantOptions): TenantOptions['tenant'] {
	checkType('tenants', tenants, 'object');
	checkNames(tenants, ['tenant'], { kind: 'a tenant option' });
	const { tenant } = tenants;
	if (typeof (tenant as unknown) !== 'function')
		throw new ConfigError(
			'options',
			'`tenant` must be a function: it returns the key of a tenant'
		);
	return (event) => {
		const key: unknown = tenant(event);
		refusePromise('`tenant`', key);
		if (typeof key === 'string') return key;
		throw new ConfigError('options', '`tenant` must return a string, the key of a tenant');
	};
}

/** While a page is prerendered nothing is signed or stored, and platforms have no bindings. */
const PRERENDERING = { secret: 'a prerendered page has no visitor', store: new MemoryStore() };

/** Recognises the error of `vite dev`'s emulated platform on a page that will be prerendered. */
function isPrerendered(error: unknown): boolean {
	return error instanceof Error && error.message.endsWith('in a prerenderable route');
}
