import { generateKeyPairSync, sign } from 'node:crypto';

import type { RequestEvent } from '@sveltejs/kit';
import { expect } from 'vitest';

import {
	backChannelLogout,
	sessions,
	VestiaryError,
	type Session,
	type SveltekitSessionConfig
} from '../src/index.js';
import type { Operation } from './scenario.js';

type Data = Record<string, unknown>;

/** Operations that give `yes` or `no`. */
const QUESTIONS: ReadonlySet<Operation['do']> = new Set([
	'isAlive',
	'confirm',
	'isFresh',
	'isBound'
]);

/** The expected answer of an operation. */
export function expected(operation: Operation): unknown {
	if (operation.do === 'read')
		return { data: operation.data ?? {}, user: operation.user ?? null };
	if (operation.do === 'ends')
		return { expires: operation.expires ?? null, idle: operation.idle ?? null };
	if (operation.do === 'take') return operation.gives ?? { value: operation.value ?? null };
	if (operation.do === 'tokens') return { access: operation.access };
	if (operation.do === 'list') return operation.labels;
	if (operation.do === 'devices') return operation.devices;
	if (operation.do === 'boundList') return operation.bound;
	if (operation.do === 'together') return operation.ops.map(expected);
	const gives = operation.gives ?? (QUESTIONS.has(operation.do) ? 'yes' : 'done');
	const inside = operation.do === 'update' ? operation.inside : undefined;
	return inside ? { inside: expected(inside), gives } : gives;
}

/** The answers of operations, run one after the other. */
export async function answers(
	current: () => Session,
	options: SveltekitSessionConfig,
	ops: Operation[]
): Promise<unknown[]> {
	const given: unknown[] = [];
	for (const operation of ops) given.push(await answerOf(current, options, operation));
	return given;
}

async function answerOf(
	current: () => Session,
	options: SveltekitSessionConfig,
	operation: Operation
): Promise<unknown> {
	if (operation.do === 'together')
		return Promise.all(operation.ops.map(async (one) => answerOf(current, options, one)));
	let inside: unknown;
	let gives: unknown;
	try {
		gives = await act(current, options, operation, async (one) => {
			inside = await answerOf(current, options, one);
		});
	} catch (error) {
		if (!(error instanceof VestiaryError)) throw error;
		gives = error.code;
	}
	return operation.do === 'update' && operation.inside ? { inside, gives } : gives;
}

async function act(
	current: () => Session,
	options: SveltekitSessionConfig,
	operation: Exclude<Operation, { do: 'together' }>,
	inside: (operation: Operation) => Promise<void>
): Promise<unknown> {
	const session = current();
	const data = session.data as Data;
	const kept = (): string => (current().isNew ? 'gone' : 'done');
	const of = (user: string): ReturnType<ReturnType<typeof sessions>['of']> =>
		sessions(options).of(user);
	switch (operation.do) {
		case 'read':
			return { data: JSON.parse(JSON.stringify(data)) as Data, user: session.userId ?? null };
		case 'set':
			data[operation.key] =
				operation.size === undefined ? operation.value : 'x'.repeat(operation.size);
			return 'done';
		case 'remove':
			Reflect.deleteProperty(data, operation.key);
			return 'done';
		case 'isAlive':
			return (await session.isAlive()) ? 'yes' : 'no';
		case 'save':
			await session.save();
			return kept();
		case 'touch':
			await session.touch();
			return kept();
		case 'renew':
			await session.renew();
			return kept();
		case 'destroy':
			await session.destroy();
			return 'done';
		case 'update': {
			const { add = {}, put = {}, inside: nested } = operation;
			const change = async (now: Data): Promise<undefined> => {
				for (const [key, by] of Object.entries(add))
					now[key] = ((now[key] as number | undefined) ?? 0) + by;
				Object.assign(now, put);
				if (nested) await inside(nested);
			};
			const written = await session.update((now) => change(now as Data));
			expect(written, 'what `update()` returns').toBe(!current().isNew);
			return kept();
		}
		case 'login': {
			const { user, keep, label, device, maxAge, provenAgo, sid, tokens } = operation;
			await session.login(user, {
				keep: keep as never,
				label,
				device,
				maxAge,
				provider: sid === undefined ? undefined : { iss: ISSUER, sub: user, sid },
				tokens: tokens === undefined ? undefined : { access_token: tokens },
				provenAt:
					provenAgo === undefined ? undefined : new Date(Date.now() - provenAgo * 1_000)
			});
			return 'done';
		}
		case 'tokens':
			return { access: (await session.storedTokens())?.accessToken ?? null };
		case 'loggedOut':
			return loggedOut(session, operation);
		case 'confirm':
			return (await session.confirm()) ? 'yes' : 'no';
		case 'isFresh':
			return session.isFresh(operation.within) ? 'yes' : 'no';
		case 'isBound':
			return session.bound ? 'yes' : 'no';
		case 'ends': {
			const left = (end: Date | null): number | null =>
				end && Math.round((end.getTime() - Date.now()) / 1_000);
			return { expires: left(session.expires), idle: left(session.idleUntil) };
		}
		case 'revoke': {
			const found = (await of(operation.user).list()).find(
				({ label }) => label === operation.label
			);
			if (!found) throw new Error(`${operation.user} has no session ${operation.label}`);
			await of(operation.user).revoke(found.handle);
			return 'done';
		}
		case 'revokeOthers':
			await of(operation.user).revokeOthers(session);
			return 'done';
		case 'revokeAll':
			await of(operation.user).revokeAll();
			return 'done';
		case 'put': {
			const { key, value, for: seconds } = operation;
			const isStored = await session.put(key, value, { for: seconds });
			expect(isStored, 'what `put()` returns').toBe(!current().isNew);
			return kept();
		}
		case 'take':
			return { value: (await session.take(operation.key)) ?? null };
		case 'list':
			return (await of(operation.user).list()).map(({ label }) => label ?? null);
		case 'boundList':
			return (await of(operation.user).list()).map(({ bound }) => bound);
		case 'devices':
			return (await of(operation.user).list()).map(({ device }) => device ?? null);
	}
}

const ISSUER = 'https://login.example.com';
const CLIENT = 'cloakroom';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const endpoint = backChannelLogout({
	issuer: ISSUER,
	clientId: CLIENT,
	jwks: () => ({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }) }] })
});

/** Sends a token of the provider, in the request of this session. */
async function loggedOut(
	session: Session,
	{ sid, sub, token }: { sid?: string; sub?: string; token: string }
): Promise<unknown> {
	const now = Math.floor(Date.now() / 1_000);
	const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
	const times = { iat: now, exp: now + 60 };
	const claims = { iss: ISSUER, aud: CLIENT, ...times, jti: token, sid, sub, events };
	const parts = [{ alg: 'ES256' }, claims].map((part) =>
		Buffer.from(JSON.stringify(part)).toString('base64url')
	);
	const text = parts.join('.');
	const key = { key: keys.privateKey, dsaEncoding: 'ieee-p1363' } as const;
	const signature = sign('sha256', Buffer.from(text), key).toString('base64url');
	const body = new URLSearchParams({ logout_token: `${text}.${signature}` });
	const request = new Request('https://app.example.com/', { method: 'POST', body });
	const response = await endpoint({ request, locals: { session } } as unknown as RequestEvent);
	if (response.ok) return 'done';
	return ((await response.json()) as { error_description: string }).error_description;
}
