import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as ask } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from './run.js';

/** An https server before an app, with a certificate of its own. */
export interface SecureProxy {
	origin: string;
	/** The switch with which Chromium accepts the certificate. With any other one it binds no session. */
	trust: string;
	/** The requests that it has passed on, as `POST /device-session/refresh 200`. */
	requests: string[];
	/** The name of the binding in the last request that refreshes one. */
	binding: () => string;
	stop: () => Promise<void>;
}

/** Starts one on a free port. It passes requests on to the app at `port`, which may be started later. */
export async function secureProxy(port: number): Promise<SecureProxy> {
	const { key, cert } = await certificate();
	const requests: string[] = [];
	let binding = '';
	const server = createServer({ key, cert }, (incoming, outgoing) => {
		const { method = '', url = '', headers } = incoming;
		const named = headers['sec-secure-session-id'];
		if (typeof named === 'string') binding = named;
		const asked = ask({ host: 'localhost', port, method, path: url, headers }, (answer) => {
			requests.push(`${method} ${url} ${answer.statusCode ?? 0}`);
			outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
			answer.pipe(outgoing);
		});
		asked.on('error', () => outgoing.destroy());
		incoming.pipe(asked);
	});
	await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
	const { publicKey } = new X509Certificate(cert);
	const spki = publicKey.export({ type: 'spki', format: 'der' });
	const hash = createHash('sha256').update(spki).digest('base64');
	return {
		origin: `https://localhost:${(server.address() as AddressInfo).port}`,
		trust: `--ignore-certificate-errors-spki-list=${hash}`,
		requests,
		binding: () => binding,
		stop: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		}
	};
}

async function certificate(): Promise<{ key: string; cert: string }> {
	const folder = await mkdtemp(join(tmpdir(), 'vestiary-certificate-'));
	const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
	const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
	const files = ['-keyout', 'key.pem', '-out', 'cert.pem'];
	await run('openssl', ['req', '-x509', ...kind, ...files, ...subject], folder);
	const read = async (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
	const made = { key: await read('key.pem'), cert: await read('cert.pem') };
	await rm(folder, { recursive: true });
	return made;
}
