import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => ({ data: { ...locals.session.data } });
