import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals }) => {
	const { user, visits } = locals.session.data;
	return { user: user?.name, visits };
};
