import { error } from '@sveltejs/kit';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = async ({ locals, params, platform, url }) => {
	const { session } = locals;
	switch (params.op) {
		case 'nonce': {
			// Workers get their variables with the request.
			const { env } = (platform ?? {}) as { env?: { NONCE?: string } };
			return Response.json({ nonce: env?.NONCE ?? process.env.NONCE, origin: url.origin });
		}
		case 'read':
			break;
		case 'save':
			await session.setData({ n: (session.data.n ?? 0) + 1 });
			await session.save();
			break;
		case 'regenerate':
			await session.regenerate();
			await locals.session.setData({ n: 100 });
			await locals.session.save();
			break;
		case 'destroy':
			await session.destroy();
			break;
		default:
			error(404);
	}
	return Response.json({ n: locals.session.data.n ?? 0, id: locals.session.id });
};
