import { sveltekitSessionHandle, type SessionHandle } from 'vestiary';
import { KvStore, type KvNamespace } from 'vestiary/cloudflare-kv';
import { counts } from './counts';

interface Platform {
	env: { SESSIONS: KvNamespace };
	ctx?: object;
}

class CountingKvStore extends KvStore {
	override get(id: string): ReturnType<KvStore['get']> {
		counts.reads++;
		return super.get(id);
	}
}

let handle: SessionHandle | undefined;

/** Takes the place of `session.ts` on Workers, where the store comes with the request. */
export const session: SessionHandle = (input) => {
	const platform = input.event.platform as Platform;
	// For a page that is prerendered there is no context, and the bindings throw.
	if (!platform.ctx) return sveltekitSessionHandle({ secret: crypto.randomUUID() })(input);
	handle ??= sveltekitSessionHandle({
		secret: 'the fixed secret of the runtime tests',
		cookie: { maxAge: 600 },
		store: new CountingKvStore({ client: platform.env.SESSIONS })
	});
	return handle(input);
};
