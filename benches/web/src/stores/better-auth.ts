/** better-auth, whose sessions are rows of a database. */
import { betterAuth as create } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import type { Pool } from 'pg';

import type { Kit } from '../kit-request.ts';
import { KitApp } from '../peers/kit-app.ts';
import type { Data, Peer } from '../peers/peer.ts';

const USER = { email: 'visitor@example.com', password: 'only for the benchmark', name: 'Visitor' };

/** A library whose tables are in this database. */
export async function betterAuth(kit: Kit, pool: Pool): Promise<Peer<undefined>> {
	let data: Data | undefined;
	const options = {
		database: pool,
		secret: 'a secret of the benchmark, long enough',
		baseURL: 'http://localhost',
		rateLimit: { enabled: false },
		emailAndPassword: {
			enabled: true,
			// A login is compared without a password: hashing one takes longer than all the rest.
			password: {
				hash: async (password: string) => Promise.resolve(password),
				verify: async () => Promise.resolve(true)
			}
		},
		session: {
			additionalFields: {
				account: { type: 'string', required: false },
				cart: { type: 'string', required: false },
				visits: { type: 'number', required: false }
			}
		},
		databaseHooks: {
			session: {
				create: {
					before: async (session: object) => {
						const { userId: account, cart, visits } = data ?? {};
						// Their user has an ID that the library chose.
						return Promise.resolve({
							data: { ...session, account, cart, visits } as never
						});
					}
				}
			}
		}
	} as const;
	const auth = create(options);
	const { runMigrations } = await getMigrations(options);
	await runMigrations();
	// The visitor may exist from another part of the run.
	await auth.api.signUpEmail({ body: USER }).catch(() => undefined);
	return {
		name: 'better-auth',
		package: 'better-auth',
		base: 'kit',
		keeps: true,
		store: () => undefined,
		app: ({ data: own }) =>
			new KitApp(
				kit,
				async ({ event, resolve }) => resolve(event),
				async ({ request: { headers }, cookies }, work) => {
					if (work === 'login') {
						data = own;
						const response = await auth.api.signInEmail({
							body: USER,
							headers,
							asResponse: true
						});
						for (const cookie of response.headers.getSetCookie()) {
							const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
							cookies.set(name, decodeURIComponent(value), { path: '/' });
						}
						return own;
					}
					const found = await auth.api.getSession({ headers });
					if (!found) return undefined;
					const { account, cart, visits } = found.session;
					if (work === 'save')
						await auth.api.updateSession({
							headers,
							body: { visits: (visits ?? 0) + 1 }
						});
					return { userId: account ?? '', cart: cart ?? '', visits: visits ?? 0 };
				}
			)
	};
}
