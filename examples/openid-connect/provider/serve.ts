/** `node provider/serve.ts [--port 4000] [--app http://localhost:3000 …] [--other http://localhost:3001 …]` */
import { parseArgs } from 'node:util';

import { CLIENT, OTHER_CLIENT } from './clients.ts';
import { startProvider } from './provider.ts';

const { values } = parseArgs({
	options: {
		port: { type: 'string', default: '4000' },
		app: {
			type: 'string',
			multiple: true,
			default: ['http://localhost:3000', 'http://localhost:5173']
		},
		other: {
			type: 'string',
			multiple: true,
			default: ['http://localhost:3001', 'http://localhost:5174']
		}
	}
});

const { issuer } = await startProvider(Number(values.port), values.app, values.other);
console.log(`The provider is at ${issuer}`);
for (const [{ id, secret }, origins] of [
	[CLIENT, values.app],
	[OTHER_CLIENT, values.other]
] as const)
	console.log(
		`For ${origins.join(' and ')}: OIDC_ISSUER=${issuer} OIDC_CLIENT_ID=${id} OIDC_CLIENT_SECRET=${secret}`
	);
