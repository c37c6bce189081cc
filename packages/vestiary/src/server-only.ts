/**
 * Throws when it is evaluated in a browser; the message says where the import belongs. Every entry of the package
 * imports this module first. A production build fails earlier, at `server-only.browser.ts`, and so does `vite dev` with
 * the plugin of `vestiary/vite`.
 */
import { SERVER_ONLY } from './server-only-sentence.js';

/** The element by which the client of `vite dev` shows errors. */
type ErrorOverlay = new (error: { message: string; stack: string }) => object;

const { document, customElements, Deno, process } = globalThis as {
	document?: { readonly body?: { append(element: object): void } | null };
	customElements?: { get(name: string): ErrorOverlay | undefined };
	Deno?: unknown;
	process?: { versions?: { node?: string } };
};

// A test environment such as jsdom also has a document, but runs in Node.js.
if (document !== undefined && Deno === undefined && process?.versions?.node === undefined) {
	// The page would be there, and only its scripts missing: the developer may not look into the console.
	const Overlay = customElements?.get('vite-error-overlay');
	if (Overlay) document.body?.append(new Overlay({ message: SERVER_ONLY, stack: '' }));
	throw new Error(SERVER_ONLY);
}

export {};
