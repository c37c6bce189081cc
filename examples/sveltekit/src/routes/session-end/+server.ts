import { json, type RequestHandler } from '@sveltejs/kit';

/** The milliseconds until the session ends without use; null for a visitor who is not logged in. */
export const GET: RequestHandler = ({ locals: { session } }) => {
	const end = session.userId === undefined ? null : session.idleUntil;
	return json(
		{ left: end && end.getTime() - Date.now() },
		{ headers: { 'cache-control': 'no-store' } }
	);
};
