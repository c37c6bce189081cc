import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => ({ session: locals.session.forClient() });
