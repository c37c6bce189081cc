import { hook } from '../../src/http/hook.ts';

export const handle = await hook();
