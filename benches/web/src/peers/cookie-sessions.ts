/** Sessions that are stored in the cookie, encrypted. */
import { getIronSession, type IronSession } from 'iron-session';
import { handleSession } from 'svelte-kit-cookie-session';

import type { Handle, Kit } from '../kit-request.ts';
import { KitApp } from './kit-app.ts';
import { MAX_AGE, type Data, type Peer } from './peer.ts';

export function ironSession(kit: Kit): Peer<undefined> {
	return {
		name: 'iron-session',
		package: 'iron-session',
		base: 'kit',
		stateless: true,
		store: () => undefined,
		app: ({ secrets, data, rolling }) => {
			// The password with the highest number encrypts.
			const password = Object.fromEntries(
				secrets.map((secret, at) => [`${secrets.length - at}`, secret])
			);
			const handle: Handle = async ({ event, resolve }) => {
				const { cookies } = event;
				const session = await getIronSession<Data>(
					{
						get: (name) => {
							const value = cookies.get(name);
							return value === undefined ? undefined : { name, value };
						},
						set: (name, value, options) => {
							cookies.set(name, value, options as Parameters<typeof cookies.set>[2]);
						}
					},
					{ cookieName: 'session', password, ttl: MAX_AGE, chunk: true }
				);
				Object.assign(event.locals, { session });
				if (rolling && session.userId !== undefined) await session.save();
				return resolve(event);
			};
			return new KitApp(kit, handle, async ({ locals }, work) => {
				const session = locals.session as unknown as IronSession<Data>;
				if (work === 'save' || work === 'login') {
					const visits = work === 'save' ? (session.visits ?? 0) + 1 : data.visits;
					Object.assign(session, data, { visits });
					await session.save();
				}
				return session;
			});
		}
	};
}

interface CookieSession {
	data: Partial<Data>;
	set: (data: Data) => Promise<unknown>;
}

export function svelteKitCookieSession(kit: Kit): Peer<undefined> {
	return {
		name: 'svelte-kit-cookie-session',
		package: 'svelte-kit-cookie-session',
		base: 'kit',
		stateless: true,
		renews: true,
		store: () => undefined,
		app: ({ secrets, data, rolling }) => {
			// Secrets of exactly 32 characters; the one with the highest number encrypts.
			const numbered = secrets.map((secret, at) => ({
				id: secrets.length - at,
				secret: secret.slice(0, 32)
			}));
			const handle = handleSession({
				secret: numbered,
				expires: MAX_AGE,
				expires_in: 'minutes',
				rolling: rolling ?? false,
				chunked: JSON.stringify(data).length > 2_500
			}) as Handle;
			return new KitApp(kit, handle, async ({ locals }, work) => {
				const session = locals.session as unknown as CookieSession;
				if (work === 'save' || work === 'login') {
					const visits = work === 'save' ? (session.data.visits ?? 0) + 1 : data.visits;
					await session.set({ ...data, visits });
				}
				return session.data;
			});
		}
	};
}
