import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		/** A login that has begun, with the values that its callback must match. Removed by the first callback. */
		login?: PendingLogin;
		/** Whose session it is; absent before the login. */
		user?: User;
	}

	interface PendingLogin {
		verifier: string;
		state: string;
		nonce: string;
		/** The page that was asked for: a path of this site. */
		next: string;
	}

	interface User {
		/** The provider's own name for the user: the only one that never changes. */
		sub: string;
		name: string;
	}
}

declare global {
	namespace App {
		interface PageData {
			user?: string | undefined;
			/** The name of this app. */
			app: string;
			/** The address of the other app at the same provider, if there is one. */
			other: string;
		}
	}
}
