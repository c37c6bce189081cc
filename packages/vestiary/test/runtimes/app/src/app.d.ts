import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		n?: number;
	}
}

declare global {
	namespace App {
		interface Locals {
			/** Resolves when the response has left the hooks. */
			answered: Promise<void>;
		}
	}
}
