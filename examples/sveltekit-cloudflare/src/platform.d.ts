// The adapter's own types of the platform, such as `ctx`.
import '@sveltejs/adapter-cloudflare';
import type { SessionObject } from 'vestiary/durable-objects/object';

declare global {
	namespace App {
		interface Platform {
			env: {
				/** A binding of wrangler.jsonc. */
				SESSIONS: DurableObjectNamespace<SessionObject>;
				/** A secret of the Worker; in development, of .dev.vars. */
				SESSION_SECRET: string;
			};
		}
	}
}
