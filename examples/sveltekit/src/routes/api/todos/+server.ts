import { error, json, type RequestHandler } from '@sveltejs/kit';
import { requireUser } from '../../../lib/server/guard';

export const GET: RequestHandler = ({ locals }) => {
	requireUser();
	return json(locals.session.data.todos ?? []);
};

export const PATCH: RequestHandler = async ({ locals: { session }, request }) => {
	requireUser();
	const { id } = (await request.json()) as { id?: unknown };
	const todos = session.data.todos ?? [];
	if (!todos.some((todo) => todo.id === id)) error(404, 'No such to-do');
	await session.setData({
		...session.data,
		todos: todos.map((todo) => (todo.id === id ? { ...todo, done: !todo.done } : todo))
	});
	await session.save();
	return json(session.data.todos);
};
