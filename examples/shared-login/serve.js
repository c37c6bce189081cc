/** One origin for both, as with any reverse proxy: /api goes to the Rust service, the rest to SvelteKit. */
import { createServer } from 'node:http';
import { env } from 'node:process';

import { createProxyServer, proxyUpgrade } from 'httpxy';

import { handler } from './build/handler.js';

const { API = 'http://127.0.0.1:4000', HOST = '127.0.0.1', PORT = '3000' } = env;
const proxy = createProxyServer({ target: API });

const server = createServer((asked, answer) => {
	if (isOfService(asked)) proxy.web(asked, answer).catch(() => refuse(answer));
	else handler(asked, answer, () => answer.writeHead(404).end());
});

server.on('upgrade', (asked, socket, head) => {
	if (isOfService(asked)) proxyUpgrade(API, asked, socket, head).catch(() => undefined);
	else socket.destroy();
});

server.listen(Number(PORT), HOST);

/** @param {import('node:http').IncomingMessage} asked */
function isOfService(asked) {
	return /^\/api(?=[/?]|$)/.test(asked.url ?? '');
}

/** @param {import('node:http').ServerResponse} answer */
function refuse(answer) {
	if (answer.headersSent) answer.destroy();
	else answer.writeHead(502).end('the Rust service does not answer');
}
