export type { ClientSession } from '../client-session.js';
export { useSession, type UsedSession, type UseSessionOptions } from './use-session.svelte.js';
