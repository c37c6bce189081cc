/** The message of an import in code for the browser. `server-only.browser.ts` repeats it as a name. */
export const SERVER_ONLY =
	'vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with `import type`';
