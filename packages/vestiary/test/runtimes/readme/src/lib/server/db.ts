interface User {
	id: string;
	name: string;
}

const user: User = { id: 'user-7', name: 'Ada' };

/** The database that the samples leave to the reader. */
export default {
	getUser: async (_email: FormDataEntryValue | null, _password: FormDataEntryValue | null) =>
		user,
	getUserFromId: async (id: string | undefined) => (id === user.id ? user : undefined),
	createTodo: async (todo: { title: string; memo: string; userId: string }) =>
		`${todo.title} of ${todo.userId}`
};
