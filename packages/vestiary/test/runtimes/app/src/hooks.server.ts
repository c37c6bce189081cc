import { error, redirect } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { session } from './session';

type Handle = Parameters<typeof sequence>[0];

/** Tells a stream that the response has left. */
const answered: Handle = async ({ event, resolve }) => {
	let left = (): void => undefined;
	event.locals.answered = new Promise((resolve) => (left = resolve));
	const response = await resolve(event);
	left();
	return response;
};

const hooks: Handle = async ({ event, resolve }) => {
	const { session } = event.locals;
	switch (event.url.pathname) {
		case '/hook/redirect':
			await session.setData({ n: 1 });
			await session.save();
			redirect(303, '/');
			break;
		case '/hook/late-redirect':
			await resolve(event);
			await session.setData({ n: 1 });
			await session.save();
			redirect(303, '/');
			break;
		case '/hook/error':
			await session.setData({ n: 1 });
			await session.save();
			error(418);
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

export const handle = sequence(answered, session, hooks);

/** Sends requests to the backend over the network: to this app, which has a page that acts as the backend. */
export const handleFetch = async (input: {
	request: Request;
	fetch: typeof globalThis.fetch;
}): Promise<Response> => {
	const { request, fetch } = input;
	const { href, pathname } = new URL(request.url);
	// A built app of SvelteKit 3 assumes https.
	const backend = href.replace('/backend/', '/echo/').replace('https:', 'http:');
	return pathname.startsWith('/backend/')
		? globalThis.fetch(new Request(backend, request))
		: fetch(request);
};
