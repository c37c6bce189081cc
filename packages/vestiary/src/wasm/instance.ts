import { initSync } from '../generated/vestiary.js';

/** Linear memory of the one instance; set before anything else of the package is evaluated. */
export let memory: WebAssembly.Memory;

/** Instantiates the core. Synchronous, so that importing the package is all a user has to do. */
export function start(module: WebAssembly.Module): void {
	// A module of another realm, as Vercel's development server gives it, is no instance of our class,
	// and would be taken for bytes.
	if (!(module instanceof WebAssembly.Module))
		Object.setPrototypeOf(module, WebAssembly.Module.prototype);
	memory = initSync({ module }).memory;
}
