import { error, json, type RequestHandler } from '@sveltejs/kit';

export const GET: RequestHandler = ({ locals }) => json(locals.session.data.todos ?? []);

export const PATCH: RequestHandler = async ({ locals: { session }, request }) => {
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
