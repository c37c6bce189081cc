/** The library's own types need those of an app, and imports that Node.js does not resolve. */
declare module 'svelte-kit-cookie-session' {
	import type { RequestEvent } from '@sveltejs/kit';

	export function handleSession(
		options: object
	): (input: {
		event: RequestEvent;
		resolve: (event: RequestEvent) => Response | Promise<Response>;
	}) => Promise<Response>;
}
