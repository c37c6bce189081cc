import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

import Provider, {
	type ClientMetadata,
	type Configuration,
	type InteractionResults
} from 'oidc-provider';

import { memoryAdapter } from './adapter.ts';
import { CLIENT, OTHER_CLIENT, type Client } from './clients.ts';
import { framesOf, nameOf, tellsBySid } from './front-channel.ts';
import { consentPage, framesPage, loginPage, logoutPage, messagePage } from './pages.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;

export interface RunningProvider {
	issuer: string;
	/** The provider of `oidc-provider`, with its events and models. */
	provider: Provider;
	close: () => Promise<void>;
}

/** Starts a provider on this machine, for the app at these origins, and for the other one at others. */
export async function startProvider(
	port: number,
	apps: string[],
	others: string[] = []
): Promise<RunningProvider> {
	// The app is on `localhost`. A browser takes `127.0.0.1` for another site, which makes this realistic: the cookies
	// are separate, and the callback is a cross-site request.
	const issuer = `http://127.0.0.1:${port}`;
	const names = new Map<string, string>();
	const clients = [clientOf(CLIENT, apps), clientOf(OTHER_CLIENT, others)];
	const known = clients.filter(({ redirect_uris }) => redirect_uris?.length);
	const provider = new Provider(issuer, configuration(known, names));
	tellsBySid(provider);
	provider.use(async (ctx, next) => {
		await next();
		const frames = await framesOf(ctx);
		if (frames.length === 0) return;
		// Shows the apps' addresses in frames, and then goes where it would have gone at once.
		const after = ctx.response.get('location');
		ctx.remove('location');
		ctx.status = 200;
		ctx.type = 'html';
		ctx.body = framesPage(frames, after);
	});
	const answer = provider.callback();
	const server = createServer((request, response) => {
		const visit = request.url?.startsWith('/interaction/')
			? interact(provider, names, request, response)
			: answer(request, response);
		visit.catch(() => {
			if (response.headersSent) return;
			html(response, 400, messagePage('Something went wrong', 'This login has expired.'));
		});
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(port, '127.0.0.1', resolve);
	});
	const close = (): Promise<void> =>
		new Promise((resolve) => {
			server.close(() => {
				resolve();
			});
			server.closeAllConnections();
		});
	return { issuer, provider, close };
}

function clientOf({ id, secret, name, channel }: Client, apps: string[]): ClientMetadata {
	const [first = ''] = apps;
	return {
		client_id: id,
		client_secret: secret,
		client_name: name,
		token_endpoint_auth_method: 'client_secret_basic',
		grant_types: ['authorization_code', 'refresh_token'],
		redirect_uris: apps.map((app) => `${app}/login/callback`),
		post_logout_redirect_uris: apps.map((app) => `${app}/`),
		...(channel === 'back'
			? {
					backchannel_logout_uri: `${first}/backchannel-logout`,
					backchannel_logout_session_required: true
				}
			: { frontchannel_logout_uri: `${first}/frontchannel-logout` })
	};
}

function configuration(clients: ClientMetadata[], names: Map<string, string>): Configuration {
	const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
	return {
		adapter: memoryAdapter(),
		clients,
		// By itself, the provider sends nothing to private addresses. Here all apps are on one machine.
		fetch: (address, options) =>
			fetch(address, { ...options, dispatcher: undefined } as RequestInit),
		extraClientMetadata: { properties: ['frontchannel_logout_uri'] },
		claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
		scopes: ['openid', 'profile', 'email'],
		findAccount: (_ctx, sub) => {
			const name = names.get(sub);
			if (name === undefined) return undefined;
			return { accountId: sub, claims: () => ({ sub, name, email: emailOf(name) }) };
		},
		issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
		// Each refresh token works once. Its second use takes back all tokens of the login.
		rotateRefreshToken: true,
		pkce: { required: () => true },
		interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
		features: {
			devInteractions: { enabled: false },
			backchannelLogout: { enabled: true },
			rpInitiatedLogout: {
				enabled: true,
				logoutSource: (ctx, form) => {
					ctx.body = logoutPage(form);
				},
				postLogoutSuccessSource: (ctx) => {
					ctx.body = messagePage('You are logged out', 'You can close this page.');
				}
			}
		},
		renderError: (ctx, { error, error_description: description = '' }) => {
			ctx.type = 'html';
			ctx.body = messagePage(error, description);
		},
		cookies: { keys: [randomBytes(32).toString('base64')] },
		jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
		ttl: {
			AccessToken: 5 * MINUTE,
			IdToken: HOUR,
			Interaction: HOUR,
			RefreshToken: 24 * HOUR,
			Grant: 24 * HOUR,
			Session: 24 * HOUR
		}
	};
}

/** Shows the page that the login waits for, and takes its answer. */
async function interact(
	provider: Provider,
	names: Map<string, string>,
	request: IncomingMessage,
	response: ServerResponse
): Promise<void> {
	const { prompt, params, session, grantId } = await provider.interactionDetails(
		request,
		response
	);
	const sub = session?.accountId ?? '';
	const app = nameOf(String(params.client_id));
	if (request.method !== 'POST') {
		const name = names.get(sub) ?? '';
		const scopes = String(params.scope).split(' ');
		const page = prompt.name === 'login' ? loginPage(app) : consentPage(app, name, scopes);
		html(response, 200, page);
		return;
	}
	const form = new URLSearchParams(await text(request));
	const finish = (result: InteractionResults): Promise<void> =>
		provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
	if (form.get('answer') !== 'yes') {
		await finish({ error: 'access_denied', error_description: 'the user said no' });
	} else if (prompt.name === 'login') {
		const name = (form.get('name') ?? '').trim().slice(0, 40);
		const accountId = createHash('sha256').update(name).digest('hex').slice(0, 16);
		names.set(accountId, name);
		await finish({ login: { accountId } });
	} else {
		const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
		const grant =
			known ?? new provider.Grant({ accountId: sub, clientId: String(params.client_id) });
		grant.addOIDCScope(String(params.scope));
		await finish({ consent: { grantId: await grant.save() } });
	}
}

function emailOf(name: string): string {
	const local = name.toLowerCase().replace(/[^a-z0-9]+/g, '.');
	return `${local}@example.com`;
}

function html(response: ServerResponse, status: number, page: string): void {
	response.writeHead(status, {
		'content-type': 'text/html; charset=utf-8',
		'cache-control': 'no-store'
	});
	response.end(page);
}
