import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => ({ n: locals.session.data.n ?? 0 });
