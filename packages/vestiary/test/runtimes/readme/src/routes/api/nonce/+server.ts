import type { RequestHandler } from '@sveltejs/kit';

export const GET: RequestHandler = ({ url }) =>
	Response.json({ nonce: process.env.NONCE, origin: url.origin });
