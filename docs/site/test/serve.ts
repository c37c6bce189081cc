import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const BUILD = new URL('../build/', import.meta.url).pathname;

const TYPES: Record<string, string> = {
	'.css': 'text/css',
	'.html': 'text/html',
	'.js': 'text/javascript',
	'.json': 'application/json',
	'.png': 'image/png',
	'.svg': 'image/svg+xml',
	'.txt': 'text/plain',
	'.wasm': 'application/wasm'
};

/** Serves the built site, as a host of static files does. */
export async function serveSite(): Promise<{ url: string; stop: () => void }> {
	const server = createServer((request, response) => {
		const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
		const file = path === '/' ? 'index.html' : path.slice(1);
		const names = extname(file) === '' ? [`${file}.html`, file] : [file];
		void (async () => {
			for (const name of names) {
				const bytes = await readFile(join(BUILD, name)).catch(() => undefined);
				if (!bytes) continue;
				response.setHeader(
					'content-type',
					TYPES[extname(name)] ?? 'application/octet-stream'
				);
				response.end(bytes);
				return;
			}
			response.statusCode = 404;
			response.end();
		})();
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address() as AddressInfo;
	return {
		url: `http://127.0.0.1:${port}`,
		stop: () => {
			server.closeAllConnections();
			server.close();
		}
	};
}
