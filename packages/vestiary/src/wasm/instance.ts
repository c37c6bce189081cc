import { initSync } from '../generated/vestiary.js';

/** Linear memory of the one instance; set before anything else of the package is evaluated. */
export let memory: WebAssembly.Memory;

/** Instantiates the core. Synchronous, so that importing the package is all a user has to do. */
export function start(module: WebAssembly.Module): void {
	memory = initSync({ module }).memory;
}
