/** `node provider/serve.ts [--port 4000] [--app http://localhost:3000 …]` */
import { parseArgs } from 'node:util';

import { CLIENT, startProvider } from './provider.ts';

const { values } = parseArgs({
	options: {
		port: { type: 'string', default: '4000' },
		app: {
			type: 'string',
			multiple: true,
			default: ['http://localhost:3000', 'http://localhost:5173']
		}
	}
});

const { issuer } = await startProvider(Number(values.port), values.app);
console.log(`The provider is at ${issuer}, for ${values.app.join(' and ')}`);
console.log(
	`OIDC_ISSUER=${issuer} OIDC_CLIENT_ID=${CLIENT.id} OIDC_CLIENT_SECRET=${CLIENT.secret}`
);
