import { APP_NAME, OTHER_APP } from '$app/env/private';
import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals }) => ({
	app: APP_NAME,
	other: OTHER_APP,
	user: locals.session.data.user?.name
});
