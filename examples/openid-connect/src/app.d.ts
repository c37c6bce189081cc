import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		/** A login that has begun, with the values that its callback must match. Removed by the first callback. */
		login?: PendingLogin;
		/** Whose session it is; absent before the login. */
		user?: User;
		/** For this server only: no `load` function may return them. */
		tokens?: Tokens;
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

	interface Tokens {
		access: string;
		id: string;
		refresh?: string | undefined;
	}
}

declare global {
	namespace App {
		interface PageData {
			user?: string | undefined;
		}
	}
}
