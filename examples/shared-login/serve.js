/** One origin for both, as with any reverse proxy: /api goes to the Rust service, the rest to SvelteKit. */
import { createServer, request } from 'node:http';
import { env } from 'node:process';
import { pipeline } from 'node:stream';
import { URL } from 'node:url';

import { handler } from './build/handler.js';

const { API = 'http://127.0.0.1:4000', HOST = '127.0.0.1', PORT = '3000' } = env;
const service = new URL(API);

createServer((asked, answer) => {
	if (/^\/api(?=[/?]|$)/.test(asked.url ?? '')) proxy(asked, answer);
	else handler(asked, answer, () => answer.writeHead(404).end());
}).listen(Number(PORT), HOST);

/**
 * @param {import('node:http').IncomingMessage} asked
 * @param {import('node:http').ServerResponse} answer
 */
function proxy(asked, answer) {
	const { hostname, port } = service;
	const { method, headers, url: path } = asked;
	const passed = request({ hostname, port, method, path, headers }, (made) => {
		answer.writeHead(made.statusCode ?? 502, made.headers);
		pipeline(made, answer, () => undefined);
	});
	passed.on('error', () => {
		if (answer.headersSent) answer.destroy();
		else answer.writeHead(502).end('the Rust service does not answer');
	});
	pipeline(asked, passed, () => undefined);
}
