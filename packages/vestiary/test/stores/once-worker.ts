/** A process of an app that refreshes tokens by `session.once()`. It may be killed at any time. */
import { Redis } from 'ioredis6';

import { Session, type SveltekitSessionConfig } from '../../dist/index.js';
import { RedisStore } from '../../dist/stores/redis.js';
import { testEvent } from '../event.ts';
import { accessToken, type Tokens } from './once-by-hand.ts';

/** From the test: a request to handle, or the provider's reply to a grant. */
export type ToWorker =
	| { kind: 'begin'; number: number; refresh: string }
	| { kind: 'ask'; number: number; cookie: string }
	| { kind: 'granted'; number: number; refresh: string };

/** To the test: the cookie of a session, an access token or an error, or a grant for the provider. */
export type FromWorker =
	| { kind: 'begun'; number: number; cookie: string }
	| { kind: 'answered'; number: number; access?: string; error?: string }
	| { kind: 'grant'; number: number; refresh: string };

const [port] = process.argv.slice(2);
const options: SveltekitSessionConfig = {
	secret: 'a secret of the tests for tokens, 32 bytes',
	store: new RedisStore({ client: new Redis(Number(port), '127.0.0.1') })
};

const grants = new Map<number, (tokens: Tokens) => void>();

process.on('message', (message: ToWorker) => {
	void handle(message);
});
process.on('disconnect', () => process.exit());

async function handle(message: ToWorker): Promise<void> {
	const { number } = message;
	switch (message.kind) {
		case 'begin': {
			const { event, cookies } = testEvent();
			const session = await Session.initialize(event, options);
			const tokens = { access: 'none', refresh: message.refresh, expires: 0 };
			await session.setData({ grant: tokens });
			await session.save();
			const { name = '', value = '' } = cookies.at(-1) ?? {};
			tell({ kind: 'begun', number, cookie: `${name}=${encodeURIComponent(value)}` });
			return;
		}
		case 'ask': {
			const session = await Session.initialize(testEvent(message.cookie).event, options);
			const grant = async (refresh: string): Promise<Tokens> =>
				new Promise((resolve) => {
					grants.set(number, resolve);
					tell({ kind: 'grant', number, refresh });
				});
			await accessToken(session, grant).then(
				(access) => {
					tell({ kind: 'answered', number, access });
				},
				(error: unknown) => {
					tell({ kind: 'answered', number, error: String(error) });
				}
			);
			return;
		}
		case 'granted':
			grants.get(number)?.({
				access: `access of ${message.refresh}`,
				refresh: message.refresh,
				expires: Date.now() + 3_600_000
			});
	}
}

function tell(message: FromWorker): void {
	process.send?.(message);
}
