/** An app that refreshes its tokens by hand, with `session.once()`. */
import type { Session } from '../../dist/index.js';

export interface Tokens {
	access: string;
	refresh: string;
	/** When the access token expires, in milliseconds since the epoch. */
	expires: number;
}

/** Sends a refresh token to the provider. */
export type Ask = (refresh: string, signal: AbortSignal) => Promise<Tokens>;

/** An access token that is valid for another minute. */
export async function accessToken(session: Session, ask: Ask): Promise<string> {
	const { grant } = session.data as { grant?: Tokens };
	if (grant && isValid(grant)) return grant.access;
	return session.once(
		'refresh-token',
		async (signal) => {
			// What the store has now: another request may have refreshed it a moment ago.
			const { grant } = session.data as { grant?: Tokens };
			if (!grant) throw new Error('There is no refresh token');
			if (isValid(grant)) return grant.access;
			const fresh = await ask(grant.refresh, signal);
			await session.setData({ ...session.data, grant: fresh });
			await session.save();
			return fresh.access;
		},
		{ lease: 3 }
	);
}

function isValid(tokens: Tokens): boolean {
	return tokens.expires > Date.now() + 60_000;
}
