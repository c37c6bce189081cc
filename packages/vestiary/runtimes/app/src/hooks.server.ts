import { redirect } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { MemoryStore, sveltekitSessionHandle } from 'vestiary';
import { counts } from './counts';

type Handle = Parameters<typeof sequence>[0];

const session = sveltekitSessionHandle({
	secret: 'the fixed secret of the runtime tests',
	cookie: { maxAge: 600 },
	store: new (class extends MemoryStore {
		override get(id: string): ReturnType<MemoryStore['get']> {
			counts.reads++;
			return super.get(id);
		}
	})()
});

const hooks: Handle = async ({ event, resolve }) => {
	const { session } = event.locals;
	switch (event.url.pathname) {
		case '/hook/redirect':
			await session.setData({ n: 1 });
			await session.save();
			redirect(303, '/');
			break;
		case '/hook/response':
			await session.setData({ n: 1 });
			await session.save();
			return new Response('of my own');
		case '/hook/immutable':
			await session.setData({ n: 1 });
			await session.save();
			return Response.redirect(new URL('/', event.url), 303);
		case '/hook/late': {
			const response = await resolve(event);
			await session.setData({ n: 1 });
			await session.save();
			return response;
		}
	}
	return resolve(event);
};

export const handle = sequence(session, hooks);
