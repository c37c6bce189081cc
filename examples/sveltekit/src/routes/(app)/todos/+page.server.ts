import { fail } from '@sveltejs/kit';
import { requireUser } from '../../../lib/server/guard';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals: { session } }) => {
	requireUser();
	return { todos: session.data.todos ?? [], flash: await session.takeFlash() };
};

export const actions: Actions = {
	add: async ({ locals: { session }, request }) => {
		requireUser();
		const text = String((await request.formData()).get('text') ?? '').trim();
		const todos = session.data.todos ?? [];
		if (!text) return fail(400, { error: 'Please enter a to-do.' });
		if (todos.length >= 50) return fail(400, { error: 'A session holds at most 50 to-dos.' });
		const id = Math.max(0, ...todos.map((todo) => todo.id)) + 1;
		await session.setData({
			...session.data,
			todos: [...todos, { id, text: text.slice(0, 200), done: false }]
		});
		await session.save();
	}
};
