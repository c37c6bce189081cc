import { generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import Provider, { type Adapter, type AdapterPayload } from 'oidc-provider';

/* A real provider of OpenID Connect, which rotates refresh tokens, and revokes all tokens of a login when a refresh token
   is used twice. */

export const CLIENT = { id: 'an-app', secret: 'known to every reader' };

/** The lifetime of access tokens, in seconds. */
export const LIFETIME = 60;

/** The lifetime of all else, in seconds. The clocks of the processes move ahead of the provider's. */
const DAYS = 10 * 86_400;

/** The counts of a provider. */
export interface Counts {
	grants: number;
	refused: number;
	revoked: number;
}

/** Handles a request for tokens. `granted` is called before the answer leaves. */
export interface TokenRequest {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	/** Lets the provider answer. */
	readonly answer: (granted: () => void) => void;
}

export interface TestProvider {
	readonly issuer: string;
	readonly counts: Counts;
	/** The first refresh token of a new login. */
	begin(): Promise<string>;
	/** Called for each request for tokens. Default: the provider answers. */
	onRequest: (request: TokenRequest) => void;
	stop(): Promise<void>;
}

/** Starts a provider. With a grace period, in milliseconds, a refresh token works for that long after its first use. */
export async function startProvider(grace: number): Promise<TestProvider> {
	const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const provider = new Provider(issuer, {
		adapter: (model) => new Entries(model === 'RefreshToken' ? grace : 0),
		clients: [
			{
				client_id: CLIENT.id,
				client_secret: CLIENT.secret,
				grant_types: ['authorization_code', 'refresh_token'],
				redirect_uris: ['http://localhost/login/callback']
			}
		],
		findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
		rotateRefreshToken: true,
		features: { devInteractions: { enabled: false } },
		cookies: { keys: ['a key of the tests'] },
		jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
		ttl: { AccessToken: LIFETIME, IdToken: DAYS, RefreshToken: DAYS, Grant: DAYS }
	});
	const counts: Counts = { grants: 0, refused: 0, revoked: 0 };
	const granted = new WeakMap<IncomingMessage, () => void>();
	provider.on('grant.success', ({ req }) => {
		counts.grants++;
		granted.get(req)?.();
	});
	provider.on('grant.error', () => counts.refused++);
	provider.on('grant.revoked', () => counts.revoked++);
	const callback = provider.callback();
	const running: TestProvider = {
		issuer,
		counts,
		begin: async () => {
			const client = await provider.Client.find(CLIENT.id);
			if (!client) throw new Error('there is no client');
			const grant = new provider.Grant({ accountId: 'ada', clientId: CLIENT.id });
			grant.addOIDCScope('openid');
			const grantId = await grant.save();
			const given = { client, accountId: 'ada', grantId, scope: 'openid' };
			return new provider.RefreshToken({ ...given, gty: 'authorization_code' }).save();
		},
		onRequest: ({ answer }) => {
			answer(() => undefined);
		},
		stop: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		}
	};
	server.on('request', (request, response) => {
		running.onRequest({
			request,
			response,
			answer: (called) => {
				granted.set(request, called);
				void callback(request, response);
			}
		});
	});
	return running;
}

/** The entries of one kind, in memory. */
class Entries implements Adapter {
	readonly #entries = new Map<string, AdapterPayload>();
	readonly #grace: number;

	constructor(grace: number) {
		this.#grace = grace;
	}

	async upsert(id: string, payload: AdapterPayload): Promise<void> {
		this.#entries.set(id, payload);
		return Promise.resolve();
	}

	async find(id: string): Promise<AdapterPayload | undefined> {
		return Promise.resolve(this.#entries.get(id));
	}

	async findByUid(uid: string): Promise<AdapterPayload | undefined> {
		return Promise.resolve([...this.#entries.values()].find((entry) => entry.uid === uid));
	}

	async findByUserCode(): Promise<undefined> {
		return Promise.resolve(undefined);
	}

	async consume(id: string): Promise<void> {
		const consume = (): void => {
			const entry = this.#entries.get(id);
			if (entry) entry.consumed = Math.floor(Date.now() / 1_000);
		};
		if (this.#grace === 0) consume();
		else setTimeout(consume, this.#grace).unref();
		return Promise.resolve();
	}

	async destroy(id: string): Promise<void> {
		this.#entries.delete(id);
		return Promise.resolve();
	}

	async revokeByGrantId(grantId: string): Promise<void> {
		for (const [id, entry] of this.#entries)
			if (entry.grantId === grantId) this.#entries.delete(id);
		return Promise.resolve();
	}
}
