import { sequence } from '@sveltejs/kit/hooks';
import { sveltekitSessionHandle } from 'vestiary';

const yourOwnHandle = async ({ event, resolve }) => {
	// `event.locals.session` is available
	const { name } = event.locals.session.data;
	const result = await resolve(event);
	result.headers.set('x-name', name ?? 'anonymous');
	return result;
};

export const handle = sequence(sveltekitSessionHandle({ secret: 'secret' }), yourOwnHandle);
