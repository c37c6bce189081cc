import { refreshAll } from '$app/navigation';
import { navigating, page } from '$app/state';
import { tick, untrack } from 'svelte';

import type { ClientSession } from '../client-session.js';
import type { PublicData } from '../registered.js';
import { Tab, type Hooks, type Seen } from './tab.js';

export type { ClientSession };

/** Options of {@link useSession}. */
export interface UseSessionOptions extends Hooks {
	/** The property of `page.data` that holds the session. Default: `'session'`. */
	as?: string | undefined;
	/** How long before the end of the session `secondsLeft` is set, in seconds. Default: 60. */
	warnBefore?: number | undefined;
	/** Called when a warning is due, with the number of seconds that are left. */
	onExpiring?: ((secondsLeft: number) => void) | undefined;
	/**
	 * Called when the session has ended: it expired, or was ended in another tab or on another device. It must load the
	 * data of the page again, or go to another page with `goto(path, { invalidateAll: true })`. Default: `refreshAll()`.
	 */
	onEnded?: (() => unknown) | undefined;
}

/** The session as the page shows it. All properties are reactive. */
export interface UsedSession<T = PublicData> {
	/** The data that the option `public` of the handle selects. Undefined without a stored session. */
	readonly data: T | undefined;
	/** Whether a user is logged in. */
	readonly signedIn: boolean;
	/** Tells this session from the next one. Undefined without a stored session. */
	readonly key: string | undefined;
	/** False on a page that was prerendered, which has no visitor. */
	readonly isKnown: boolean;
	/** When the session ends unless it is used, by the clock of the server; null if never. */
	readonly expires: Date | null;
	/** The number of seconds until the session ends, once it ends soon. Undefined before that. */
	readonly secondsLeft: number | undefined;
	/**
	 * Extends the session, as any other use of it does.
	 * @returns False if the visitor no longer has it, or the server cannot be reached
	 */
	extend(): Promise<boolean>;
}

/**
 * The visitor's session in the browser, and on the server while a page is rendered. Call it in your root layout, with
 * options if you need them, and in any other component without.
 *
 * It shows the session that your root layout's load function returns (`session.forClient()`), in all tabs. When the
 * visitor logs in or out in another tab, or the session ends, SvelteKit's load functions run again.
 *
 * ```svelte
 * <script>
 *   import { useSession } from 'vestiary/client';
 *
 *   const session = useSession();
 * </script>
 *
 * {#if session.signedIn}Hello, {session.data?.name}!{/if}
 * ```
 */
export function useSession(options: UseSessionOptions = {}): UsedSession {
	const { as = 'session' } = options;
	// On the server a module belongs to all visitors.
	const shared = typeof document === 'undefined' ? undefined : sharedBy(as);
	const inPage = (): ClientSession | undefined =>
		(page.data as Record<string, ClientSession | undefined>)[as];
	// Vite replaces it, so no production build has the hint.
	if (import.meta.env.DEV && !(as in page.data)) hintAt(as);
	$effect(() => untrack(() => shared?.tab.join(options)));
	$effect(() => {
		const session = inPage();
		untrack(() => shared?.tab.shows(session));
	});
	return {
		get data() {
			return shownOf(inPage(), shared)?.data;
		},
		get signedIn() {
			return shownOf(inPage(), shared)?.signedIn ?? false;
		},
		get key() {
			return shownOf(inPage(), shared)?.key;
		},
		get isKnown() {
			return inPage() !== undefined;
		},
		get expires() {
			const expires = shared?.seen?.expires ?? shownOf(inPage(), shared)?.expires ?? null;
			return expires === null ? null : new Date(expires);
		},
		get secondsLeft() {
			return shared?.seen?.secondsLeft;
		},
		async extend() {
			return shared?.tab.extend() ?? false;
		}
	};
}

/** Tells the developer why a page shows no session. */
function hintAt(as: string): void {
	// eslint-disable-next-line no-console -- for the developer who watches the terminal, or the browser's console
	console.warn(
		`[vestiary] useSession() finds no session, because page.data has no '${as}'. ` +
			`Return { ${as}: locals.session.forClient() } from the load function of src/routes/+layout.server.ts.`
	);
}

/** The session of a page, unless it has ended since. */
function shownOf(
	session: ClientSession | undefined,
	shared: Shared | undefined
): ClientSession | undefined {
	const { key } = session ?? {};
	return key !== undefined && shared?.seen?.gone.has(key) ? undefined : session;
}

/** A session of this tab, shared by all components that use it. */
class Shared {
	seen: Seen | undefined = $state.raw();
	readonly tab: Tab;

	constructor(as: string) {
		this.tab = new Tab(as, {
			refresh: reload,
			publish: (seen) => {
				this.seen = seen;
			}
		});
	}
}

const all = new Map<string, Shared>();

function sharedBy(as: string): Shared {
	const known = all.get(as);
	if (known) return known;
	const shared = new Shared(as);
	all.set(as, shared);
	return shared;
}

/** Runs the load functions again. */
async function reload(): Promise<void> {
	// SvelteKit would drop either the navigation or, once that has its data, the invalidation.
	let waited: unknown;
	while (navigating.complete && navigating.complete !== waited) {
		waited = navigating.complete;
		await navigating.complete.catch(() => undefined);
	}
	await refreshAll();
	// The effects that look at the data of the page have run then.
	await tick();
}
