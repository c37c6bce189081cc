import { sveltekitSessionHandle } from 'vestiary';
import { KvStore, type KvNamespace } from 'vestiary/cloudflare-kv';
import { counts } from './counts';

class CountingKvStore extends KvStore {
	override get(id: string): ReturnType<KvStore['get']> {
		counts.reads++;
		return super.get(id);
	}
}

/** Takes the place of `session.ts` on Workers, where the store comes with the request. */
export const session = sveltekitSessionHandle(({ platform }) => {
	const { env } = platform as { env: { SESSIONS: KvNamespace } };
	return {
		secret: 'the fixed secret of the runtime tests',
		cookie: { maxAge: 600 },
		client: true,
		recheckAfter: 1,
		store: new CountingKvStore({ client: env.SESSIONS })
	};
});
