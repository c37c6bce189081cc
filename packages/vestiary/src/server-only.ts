/**
 * Throws when it is evaluated in a browser; the message says where the import belongs. Every entry of the package
 * imports this module first. A production build fails earlier, at `server-only.browser.ts`.
 */
const { document, Deno, process } = globalThis as {
	document?: unknown;
	Deno?: unknown;
	process?: { versions?: { node?: string } };
};

// A test environment such as jsdom also has a document, but runs in Node.js.
if (document !== undefined && Deno === undefined && process?.versions?.node === undefined) {
	throw new Error(
		'vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with `import type`'
	);
}

export {};
