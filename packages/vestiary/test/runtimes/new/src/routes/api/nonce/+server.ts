import type { RequestHandler } from '@sveltejs/kit';

/** A new app has no types of Node.js. */
const { process } = globalThis as unknown as { process: { env: Record<string, string> } };

export const GET: RequestHandler = ({ url }) =>
	Response.json({ nonce: process.env.NONCE, origin: url.origin });
