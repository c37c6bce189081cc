import { beforeEach, describe, expect, test } from 'vitest';

import {
	ConfigError,
	MemoryStore,
	sessions,
	sveltekitSessionHandle,
	type Session,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';

/* Arguments that the compiler refuses, and that callers without it, or with values of a form, pass all the same. */

let options: SveltekitSessionConfig;

beforeEach(() => {
	options = { secret: '0123456789abcdef0123456789abcdef', store: new MemoryStore() };
});

async function visit<T>(act: (session: Session) => Promise<T>): Promise<T> {
	const { event } = testEvent();
	let result: T | undefined;
	await sveltekitSessionHandle(options)({
		event,
		resolve: async () => {
			result = await act(event.locals.session);
			return new Response();
		}
	});
	return result as T;
}

const refused = { name: 'ConfigError', code: 'options' };
const listed = async (): Promise<number> => (await sessions(options).of('ada').list()).length;

describe('a login is refused, and nothing is done, whose options', () => {
	test.each([
		[null, 'must be an object'],
		[5, 'must be an object'],
		[
			{ labels: 'phone' },
			'`labels` is not an option of `session.login()`: did you mean `label`?'
		],
		[{ label: 5 }, '`label` of `session.login()` must be a string'],
		[{ label: Symbol('phone') }, '`label` of `session.login()` must be a string'],
		[{ device: 'phone' }, '`device` of `session.login()` must be an object with `browser`'],
		[{ device: { browser: 5 } }, 'must have a string as its `browser`'],
		[
			{ device: { browsers: 'x' } },
			'`device.browsers` is not a part of the device at a login: did you mean `device.browser`?'
		],
		[{ keep: 'cart' }, '`keep` of `session.login()` must be a list of keys'],
		[{ keep: {} }, '`keep` of `session.login()` must be a list of keys']
	])('are %o', async (login, message) => refusesLogin(login, message));

	// A report of the tests cannot have such a text in the name of one.
	test('have a device with half of a character in a name', async () =>
		refusesLogin(
			{ device: { system: '\ud83d' } },
			'`device.system` of a login must be well-formed'
		));

	async function refusesLogin(login: unknown, message: string): Promise<void> {
		await visit(async (session) => {
			const loggingIn = session.login('ada', login as never);
			await expect(loggingIn).rejects.toMatchObject({
				...refused,
				message: expect.stringContaining(message) as string
			});
			expect(session.userId).toBeUndefined();
		});
		expect(await listed()).toBe(0);
	}
});

test('a header that is missing is no label', async () => {
	await visit(async (session) => session.login('ada', { label: null as never }));
	expect((await sessions(options).of('ada').list())[0]).not.toHaveProperty('label');
});

test.each([
	null,
	undefined,
	{},
	{ browser: '', system: null, address: undefined },
	{ address: 'unix:/run/app.sock' }
])('a device of which nothing is known is none: %o', async (device) => {
	await visit(async (session) => session.login('ada', { device: device as never }));
	expect((await sessions(options).of('ada').list())[0]).not.toHaveProperty('device');
});

describe('no session ends', () => {
	test.each([null, undefined, 5, {}, Symbol('handle')])('by the handle %o', async (handle) => {
		await visit(async (session) => session.login('ada'));
		const revoking = sessions(options)
			.of('ada')
			.revoke(handle as never);
		await expect(revoking).rejects.toMatchObject(refused);
		expect(await listed()).toBe(1);
	});

	test.each([null, undefined, 5, {}])(
		'where all others are to end and the one that is to stay is %o',
		async (current) => {
			await visit(async (session) => session.login('ada'));
			const revoking = sessions(options)
				.of('ada')
				.revokeOthers(current as never);
			await expect(revoking).rejects.toMatchObject(refused);
			expect(await listed()).toBe(1);
		}
	);
});

test('only a session can be the current one of a list', async () => {
	const listing = sessions(options)
		.of('ada')
		.list({} as never);
	await expect(listing).rejects.toBeInstanceOf(ConfigError);
});

test('an update by what is no function is refused', async () => {
	await visit(async (session) => {
		await expect(session.update({ cart: [] } as never)).rejects.toMatchObject(refused);
		expect(session.isNew).toBe(true);
	});
});
