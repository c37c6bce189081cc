// Serves a function that takes a Request, as Vercel and Netlify run it in Node.js.
import { createServer } from 'node:http';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

import { getRequest, setResponse } from '@sveltejs/kit/node';

const [, , file, port] = process.argv;
const { default: exported } = await import(pathToFileURL(file).href);
const handler = exported.fetch ?? exported;

createServer(async (incoming, outgoing) => {
	const request = await getRequest({ request: incoming, base: `http://localhost:${port}` });
	await setResponse(outgoing, await handler(request, { ip: '127.0.0.1' }));
}).listen(Number(port), 'localhost');
