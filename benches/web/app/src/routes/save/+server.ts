import { answer } from '../../../../src/http/hook.ts';

export const GET = answer('save');
