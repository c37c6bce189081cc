import { sveltekitSessionHandle } from 'vestiary';
import { KvStore } from 'vestiary/cloudflare-kv';

// Bindings come with the request, so the options are made by the first one.
export const handle = sveltekitSessionHandle(({ platform }) => {
	if (!platform) throw new Error('no platform: is this not run by wrangler or vite dev?');
	return {
		name: 'cloakroom',
		secret: platform.env.SESSION_SECRET,
		store: new KvStore({ client: platform.env.SESSIONS }),
		// Not `rolling`: KV can only restart a TTL by writing the record again, which may be stale.
		cookie: { maxAge: 60 * 60 }
	};
});
