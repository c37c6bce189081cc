import { initSync } from '../generated/vestiary.js';

let linear: WebAssembly.Memory;

/** The linear memory of the single instance, which is created before any other module of the package is evaluated. */
export const memory: Pick<WebAssembly.Memory, 'buffer'> = {
	get buffer() {
		return linear.buffer;
	}
};

/** Instantiates the core synchronously, so that importing the package is enough. */
export function start(module: WebAssembly.Module): void {
	// A module of another realm, as in Vercel's development server, is not an instance of our class, and would be taken
	// for bytes.
	if (!(module instanceof WebAssembly.Module))
		Object.setPrototypeOf(module, WebAssembly.Module.prototype);
	linear = initSync({ module }).memory;
}
