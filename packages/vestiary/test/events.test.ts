import { beforeEach, expect, test } from 'vitest';

import { visits, watched } from './watched-store.js';

let { store, options, events } = watched();
const { opened } = visits(() => ({ store, options, events }));

beforeEach(() => {
	({ store, options, events } = watched());
});

test('events report the life of a session', async () => {
	const { session, cookie } = await opened();
	await session.save();
	await (await opened(cookie())).session.renew();
	const login = await opened();
	await login.session.login('ada');
	await login.locals.session.destroy();
	expect(events).toEqual(['created', 'rotated', 'created', 'destroyed']);
});
