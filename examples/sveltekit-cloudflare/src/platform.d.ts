// The adapter's own types of the platform, such as `ctx`.
import '@sveltejs/adapter-cloudflare';
import type { KvNamespace } from 'vestiary/cloudflare-kv';

declare global {
	namespace App {
		interface Platform {
			env: {
				/** A binding of wrangler.jsonc. */
				SESSIONS: KvNamespace;
				/** A secret of the Worker; in development, of .dev.vars. */
				SESSION_SECRET: string;
			};
		}
	}
}
