import 'vestiary';

declare module 'vestiary' {
	/** The data of the session: `Data` in api/src/main.rs is the same, in Rust. */
	interface SessionData {
		/** Which of the two logged the visitor in. */
		by?: string;
		/** Clicks that SvelteKit counted. */
		sveltekit?: number;
		/** Clicks that the Rust service counted. */
		axum?: number;
		/** Both of them. */
		clicks?: number;
	}
}
