/** Redis commands for logged-in visitors, only for vestiary: no other library has session lists. */
import assert from 'node:assert/strict';

import { Redis } from 'ioredis';
import {
	sessions,
	sveltekitSessionHandle,
	type Session,
	type SveltekitSessionConfig
} from 'vestiary';
import { RedisStore } from 'vestiary/redis';

import type { Context } from '../context.ts';
import type { Kit } from '../kit-request.ts';
import { KitApp } from '../peers/kit-app.ts';
import { MAX_AGE, type Exchange } from '../peers/peer.ts';
import { exactly, type Row } from '../results.ts';
import type { CountingProxy } from '../counting-proxy.ts';

interface UserCase {
	name: string;
	options: Partial<SveltekitSessionConfig>;
	/** The kind of visitor. */
	visitor: 'logged in' | 'anonymous' | 'new';
	/** The app's part in the request. */
	work: (session: Session, user: string) => unknown;
	/** The maximum number of round trips, checked in each run; undefined if that is not reached yet. */
	most?: number;
}

const rolling = { rolling: true, cookie: { maxAge: MAX_AGE } };
const read = (session: Session): unknown => session.userId;
const login = async (session: Session, user: string): Promise<unknown> => session.login(user);

const CASES: UserCase[] = [
	{ name: 'logged in, read', options: {}, visitor: 'logged in', work: read, most: 1 },
	{
		name: 'logged in, rolling, read',
		options: rolling,
		visitor: 'logged in',
		work: read,
		most: 2
	},
	{
		name: 'logged in, rolling, read and touched',
		options: { ...rolling, touchAfter: 0 },
		visitor: 'logged in',
		work: read,
		most: 3
	},
	{ name: 'login of a new visitor', options: {}, visitor: 'new', work: login, most: 2 },
	{
		name: 'login of a visitor with a session',
		options: {},
		visitor: 'anonymous',
		work: login,
		most: 3
	}
];

/** Rows of round trips and of commands. */
export async function userRows(
	context: Context,
	kit: Kit,
	proxy: CountingProxy
): Promise<{ roundTrips: Row[]; commands: Row[] }> {
	const client = new Redis(proxy.port, '127.0.0.1');
	const roundTrips: Row[] = [];
	const commands: Row[] = [];
	const runs = context.smoke ? 2 : 100;
	const count = async (
		name: string,
		most: number | undefined,
		run: (n: number) => Promise<void>
	): Promise<void> => {
		// Sends the scripts, which Redis then has.
		await run(0);
		const [trips, asked] = [proxy.roundTrips, proxy.commands];
		for (let n = 1; n <= runs; n++) await run(n);
		const row = { case: name, peer: 'vestiary' };
		const each = (proxy.roundTrips - trips) / runs;
		roundTrips.push({ ...row, ...exactly(each) });
		commands.push({ ...row, ...exactly((proxy.commands - asked) / runs) });
		if (most !== undefined) assert.ok(each <= most, `${name}: ${each} round trips`);
		context.checked(`vestiary: ${name}`);
	};
	for (const [at, made] of CASES.entries()) {
		const options: SveltekitSessionConfig = {
			secret: 'a secret of the benchmark, long enough',
			store: new RedisStore({ client, prefix: `users${at}:` }),
			...made.options
		};
		let user = '';
		const app = new KitApp(kit, sveltekitSessionHandle(options), async ({ locals }, work) => {
			if (work === 'login') await locals.session.login(user);
			else if (work === 'save') await locals.session.save();
			else await made.work(locals.session, user);
			return { userId: locals.session.userId ?? '' };
		});
		const exchanges: Exchange[] = [];
		for (let n = 0; n <= runs; n++) {
			user = `user-${n}`;
			const first = app.exchange(undefined, made.visitor === 'logged in' ? 'login' : 'save');
			await first.run();
			const cookie = first.setCookies()[0]?.split(';', 1)[0];
			exchanges.push(app.exchange(made.visitor === 'new' ? undefined : cookie, 'read'));
		}
		await count(made.name, made.most, async (n) => {
			user = `user-${n}`;
			await exchanges[n]?.run();
			assert.equal(exchanges[n]?.seen?.userId, user, made.name);
		});
		if (at === 0)
			await count('all sessions of a user ended', 1, (n) =>
				sessions(options).of(`user-${n}`).revokeAll()
			);
	}
	client.disconnect();
	return { roundTrips, commands };
}
