import 'vestiary';

declare module 'vestiary' {
	interface SessionData {
		n?: number;
	}
}
