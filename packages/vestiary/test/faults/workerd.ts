/** D1 and Durable Objects in a workerd of its own, and the bindings through which another process uses them. */
import { spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { D1Binding, D1Statement } from '../../dist/stores/d1.js';
import type { SessionNamespace, SessionStub } from '../../dist/stores/durable-objects.js';
import { started, type Killable } from '../stores/killable.ts';
import { freePort } from '../stores/servers.ts';

/** A workerd that can be killed. */
export interface Workerd extends Killable {
	readonly url: string;
}

export async function startWorkerd(): Promise<Workerd> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-workerd-'));
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const script = new URL('./workerd-server.ts', import.meta.url).pathname;
	const server = await started({
		launch: () =>
			spawn(process.execPath, [script, `${port}`, folder], {
				stdio: 'ignore',
				detached: true
			}),
		answers: async () => {
			try {
				await d1Of(url).prepare('SELECT 1').all();
				return true;
			} catch {
				return false;
			}
		},
		folder,
		end: 'SIGTERM'
	});
	return { url, ...server };
}

/** The D1 database of a workerd. */
export function d1Of(url: string): D1Binding {
	const statement = (sql: string, values: unknown[]): D1Statement => {
		const run = async (method: 'all' | 'run'): Promise<never> =>
			(await ask(url, { sql, values, method })) as never;
		return {
			bind: (...bound) => statement(sql, bound),
			all: async () => run('all'),
			run: async () => run('run')
		};
	};
	return { prepare: (sql) => statement(sql, []) };
}

/** The Durable Objects of a workerd. */
export function objectsOf(url: string): SessionNamespace {
	return {
		idFromName: (name) => ({ name }),
		get: (id) =>
			new Proxy({} as SessionStub, {
				get:
					(_, method) =>
					async (...args: unknown[]) =>
						ask(url, {
							name: (id as { name: string }).name,
							method: String(method),
							args
						})
			})
	};
}

async function ask(url: string, request: object): Promise<unknown> {
	const response = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
	const { answer, message } = (await response.json()) as { answer?: unknown; message?: string };
	if (message !== undefined) throw new Error(message);
	return answer ?? null;
}
