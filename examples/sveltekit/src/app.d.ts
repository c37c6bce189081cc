import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		/** Whose session it is; absent before the login. */
		user?: { name: string; since: number };
		/** Pages seen since the session began. */
		visits?: number;
		todos?: Todo[];
	}

	interface Todo {
		id: number;
		text: string;
		done: boolean;
	}
}

declare global {
	namespace App {
		interface PageData {
			user?: string | undefined;
			visits?: number | undefined;
		}
	}
}
