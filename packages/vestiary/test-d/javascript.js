// @ts-check
// The types that an editor infers in JavaScript. Nothing here runs; the test is that it compiles.
import { sequence } from '@sveltejs/kit/hooks';
import { MemoryStore, sveltekitSessionHandle } from 'vestiary';

/** @type {import('@sveltejs/kit/hooks').Handle} */
const yourOwnHandle = async ({ event, resolve }) => {
	const { session } = event.locals;
	/** @type {string} */
	const id = session.id;
	// @ts-expect-error -- not a method
	session.store.length();
	await session.setData({ userId: id, name: 'Ada' });
	return resolve(event);
};

export const handle = sequence(
	sveltekitSessionHandle({ secret: 'secret', store: new MemoryStore() }),
	yourOwnHandle
);

// @ts-expect-error -- seconds are a number
sveltekitSessionHandle({ secret: 'secret', cookie: { maxAge: '60' } });
