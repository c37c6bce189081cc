import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';

import { CLIENT, OTHER_CLIENT } from './clients.ts';

/* OpenID Connect Front-Channel Logout 1.0, which oidc-provider leaves to its users: after a logout, the provider shows a
   page with a frame for each app that the user has logged in to. */

/** Puts the name of the session (`sid`) into each ID token. By itself, the provider does so for back-channel logout only. */
export function tellsBySid(provider: Provider): void {
	const { prototype } = provider.Client as unknown as {
		prototype: { includeSid: () => boolean };
	};
	prototype.includeSid = () => true;
}

/** A request to the provider. Those of its own pages have no `oidc`. */
type Context = Pick<KoaContextWithOIDC, 'status'> & Partial<Pick<KoaContextWithOIDC, 'oidc'>>;

/** The addresses to show after a logout; none for another request. */
export async function framesOf({ oidc, status }: Context): Promise<string[]> {
	if (oidc?.route !== 'end_session_confirm' || status !== 303 || !oidc.params?.logout) return [];
	const { provider, session } = oidc;
	const frames: string[] = [];
	for (const clientId of Object.keys(session?.authorizations ?? {})) {
		const client = await provider.Client.find(clientId);
		const uri = client?.metadata().frontchannel_logout_uri;
		if (typeof uri !== 'string') continue;
		const address = new URL(uri);
		address.searchParams.set('iss', provider.issuer);
		address.searchParams.set('sid', session?.sidFor(clientId) ?? '');
		frames.push(address.href);
	}
	return frames;
}

/** The name of an app, for the provider's pages. */
export function nameOf(clientId: string): string {
	return [CLIENT, OTHER_CLIENT].find(({ id }) => id === clientId)?.name ?? clientId;
}
