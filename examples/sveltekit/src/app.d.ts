import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		/** Pages seen since the session began. */
		visits?: number;
		todos?: Todo[];
	}

	interface Register {
		public: { user: string | undefined };
	}

	interface SessionFlash {
		text: string;
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
			visits?: number | undefined;
		}
	}
}
