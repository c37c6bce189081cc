/** The cookie jar of SvelteKit, found by the bundler. */
declare module 'kit-jar' {
	import type { Jar } from '../kit-request.ts';

	export const get_cookies: Jar['get_cookies'];
	export const add_cookies_to_headers: Jar['add_cookies_to_headers'];
}
