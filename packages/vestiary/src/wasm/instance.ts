import { initSync } from '../generated/vestiary.js';

let linear: WebAssembly.Memory;

/** Linear memory of the one instance, which is started before anything else of the package is evaluated. */
export const memory: Pick<WebAssembly.Memory, 'buffer'> = {
	get buffer() {
		return linear.buffer;
	}
};

/** Instantiates the core. Synchronous, so that importing the package is all a user has to do. */
export function start(module: WebAssembly.Module): void {
	// A module of another realm, as Vercel's development server gives it, is no instance of our class,
	// and would be taken for bytes.
	if (!(module instanceof WebAssembly.Module))
		Object.setPrototypeOf(module, WebAssembly.Module.prototype);
	linear = initSync({ module }).memory;
}
