import { redirect, type Handle } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { MemoryStore, sveltekitSessionHandle, type SessionHandle } from 'vestiary';
import { KvStore } from 'vestiary/cloudflare-kv';

const PRIVATE = ['/todos', '/session', '/api'];

let handleOfWorker: SessionHandle | undefined;

const session: Handle = (input) => {
	const { platform } = input.event;
	// A page that is prerendered has no visitor. There the platform has no `ctx`, and its bindings throw.
	if (!platform?.ctx) return nobody(input);
	// Bindings come with a request, and are the same in all requests of a Worker.
	handleOfWorker ??= sveltekitSessionHandle({
		name: 'cloakroom',
		secret: platform.env.SESSION_SECRET,
		store: new KvStore({ client: platform.env.SESSIONS }),
		// Not `rolling`: to prolong a life in KV is to write again what was read, and that may be old.
		cookie: { maxAge: 60 * 60 }
	});
	return handleOfWorker(input);
};

const nobody: SessionHandle = (input) =>
	sveltekitSessionHandle({ secret: crypto.randomUUID(), store: new MemoryStore() })(input);

const requireLogin: Handle = ({ event, resolve }) => {
	const { pathname } = event.url;
	const isPrivate = PRIVATE.some((path) => pathname === path || pathname.startsWith(`${path}/`));
	if (isPrivate && !event.locals.session.data.user) {
		redirect(303, `/login?next=${encodeURIComponent(pathname)}`);
	}
	return resolve(event);
};

export const handle = sequence(session, requireLogin);
