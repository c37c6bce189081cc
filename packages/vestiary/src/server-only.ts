/**
 * Refuses to be evaluated in a browser: the message says where the import belongs. Every entry of the
 * package imports this module first. A production build does not get this far: its bundler already
 * stops at `server-only.browser.ts`.
 */
const { document, Deno, process } = globalThis as {
	document?: unknown;
	Deno?: unknown;
	process?: { versions?: { node?: string } };
};

// A test environment such as jsdom has a document, too, but runs in Node.js.
if (document !== undefined && Deno === undefined && process?.versions?.node === undefined) {
	throw new Error(
		'vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with `import type`'
	);
}

export {};
