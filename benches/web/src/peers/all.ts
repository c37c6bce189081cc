import type { Kit } from '../kit-request.ts';
import { ironSession, svelteKitCookieSession } from './cookie-sessions.ts';
import { expressSession } from './express-session.ts';
import type { Peer } from './peer.ts';
import { svelteKitSessions } from './svelte-kit-sessions.ts';
import { vestiary } from './vestiary.ts';

/** Every library, and whatever its store is. */
export function allPeers(kit: Kit): Peer[] {
	return [
		vestiary(kit),
		svelteKitSessions(kit),
		expressSession,
		ironSession(kit),
		svelteKitCookieSession(kit)
	] as Peer[];
}
