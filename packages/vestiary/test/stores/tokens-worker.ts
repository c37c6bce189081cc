/** A process of an app that refreshes tokens as docs/how-to/refresh-tokens.md does. It may be killed at any time. */
import { Redis } from 'ioredis6';
import * as client from 'openid-client';

import {
	Session,
	type SveltekitSessionConfig,
	type TokenResponse,
	type Tokens
} from '../../dist/index.js';
import { RedisStore } from '../../dist/stores/redis.js';
import { testEvent } from '../event.ts';
import { CLIENT } from './tokens-provider.ts';

/** From the test: tokens of a new login, a request to handle, or another time. */
export type ToWorker =
	| { kind: 'begin'; response: TokenResponse }
	| { kind: 'ask'; number: number; cookie: string }
	| { kind: 'clock'; offset: number };

/** To the test: the cookie of a session, or an access token, `none` without one, or an error. */
export type FromWorker =
	| { kind: 'begun'; cookie: string }
	| { kind: 'answered'; number: number; access?: string; error?: string };

interface Sample {
	tokensOf: (session: Session, config: client.Configuration) => Promise<Tokens | undefined>;
}

const [port, issuer = '', place = '', sample = '', ahead] = process.argv.slice(2);
const { tokensOf } = (await import(sample)) as Sample;
const options: SveltekitSessionConfig = {
	secret: 'a secret of the tests for tokens, 32 bytes',
	store: new RedisStore({ client: new Redis(Number(port), '127.0.0.1') })
};
const config = new client.Configuration(
	{ issuer, token_endpoint: `${issuer}/token` },
	CLIENT.id,
	CLIENT.secret
);
// eslint-disable-next-line @typescript-eslint/no-deprecated -- on this machine
client.allowInsecureRequests(config);
config.timeout = 0;
config[client.customFetch] = (address, { headers, ...given }) =>
	fetch(address, { ...given, headers: { ...headers, worker: place } } as RequestInit);

let offset = Number(ahead);
const now = Date.now;
Date.now = () => now() + offset;

process.on('message', (message: ToWorker) => {
	void handle(message);
});
process.on('disconnect', () => process.exit());

async function handle(message: ToWorker): Promise<void> {
	switch (message.kind) {
		case 'clock':
			({ offset } = message);
			return;
		case 'begin': {
			const { event, cookies } = testEvent();
			const session = await Session.initialize(event, options);
			await session.keepTokens(message.response);
			const { name = '', value = '' } = cookies.at(-1) ?? {};
			tell({ kind: 'begun', cookie: `${name}=${encodeURIComponent(value)}` });
			return;
		}
		case 'ask': {
			const { number, cookie } = message;
			const session = await Session.initialize(testEvent(cookie).event, options);
			await tokensOf(session, config).then(
				(tokens) => {
					tell({ kind: 'answered', number, access: tokens?.accessToken ?? 'none' });
				},
				(error: unknown) => {
					tell({ kind: 'answered', number, error: String(error) });
				}
			);
		}
	}
}

function tell(message: FromWorker): void {
	process.send?.(message);
}
