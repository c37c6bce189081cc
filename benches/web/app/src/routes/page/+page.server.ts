import { userOf } from '../../../../src/http/hook.ts';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async (event) => ({ user: await userOf(event, 'read') });
