// Serves an edge function of Netlify in Deno.
/* global Deno */
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const [, , file, port] = process.argv;
const { default: handler } = await import(pathToFileURL(file).href);

Deno.serve({ port: Number(port), hostname: 'localhost' }, (request) =>
	handler(request, { ip: '127.0.0.1' })
);
