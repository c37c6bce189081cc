/**
 * `node workerd-server.ts PORT FOLDER`: workerd with a D1 database and Durable Objects, whose files are in the folder.
 * A request is a statement, or a call of an object.
 */
import { readdir } from 'node:fs/promises';

import { Miniflare } from 'miniflare';

const WORKER = `
	export { SessionObject } from './stores/session-object.js';

	export default {
		async fetch(request, { DB, SESSIONS }) {
			const { sql, values, name, method, args } = await request.json();
			try {
				if (sql === undefined) {
					const stub = SESSIONS.get(SESSIONS.idFromName(name));
					return Response.json({ answer: await stub[method](...args) });
				}
				const statement = DB.prepare(sql).bind(...values);
				return Response.json({ answer: await statement[method]() });
			} catch ({ message }) {
				return Response.json({ message });
			}
		}
	};
`;

const [port = '', folder = ''] = process.argv.slice(2);
const dist = new URL('../../dist/', import.meta.url).pathname;
const files = await readdir(dist, { recursive: true });
const modules = files
	.filter((file) => file.endsWith('.js') && !/^index|wasm|sqlite|testing/.test(file))
	.map((file) => ({ type: 'ESModule' as const, path: `${dist}${file}` }));
const workerd = new Miniflare({
	host: '127.0.0.1',
	port: Number(port),
	compatibilityDate: '2026-07-30',
	modulesRoot: dist,
	modules: [{ type: 'ESModule', path: `${dist}worker.js`, contents: WORKER }, ...modules],
	d1Databases: ['DB'],
	d1Persist: folder,
	durableObjects: { SESSIONS: { className: 'SessionObject', useSQLite: true } },
	durableObjectsPersist: folder
});
await workerd.ready;
