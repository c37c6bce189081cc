import { declare, environment } from './environment.ts';
import { importPath, type Draft, type Print } from './project.ts';
import { VERSIONS } from './stores.ts';

const VARIABLES = [
	{ name: 'OIDC_ISSUER', description: 'The address of the provider', example: '' },
	{ name: 'OIDC_CLIENT_ID', description: 'The name of this app at the provider', example: '' },
	{ name: 'OIDC_CLIENT_SECRET', description: 'Its secret there', example: '' }
];

const DATA = `declare module 'vestiary' {
	interface SessionData {
		login?: { verifier: string; state: string; nonce: string; next: string };
		user?: { name: string };
		idToken?: string;
	}
}
`;

/** A login by OpenID Connect: the modules of docs/how-to/openid-connect.md, with `session.login()`. */
export function logIn(draft: Draft, { ts, js }: Print): { path: string; text: string }[] {
	const { project } = draft;
	declare(draft, VARIABLES);
	draft.depend('openid-client', VERSIONS['openid-client']);
	// JavaScript has no place of its own for them.
	if (project.language === 'js')
		draft.add(`${project.src}/login-data.d.ts`, `import 'vestiary';\n\n${DATA}`);
	draft.notes.push(
		'Fill in the OIDC_ variables in .env, and register /login/callback at the provider as the redirect URI.'
	);
	const { line, of } = environment(
		project,
		VARIABLES.map(({ name }) => name)
	);
	const outside = project.kit === 3 ? ', { external: true }' : '';
	const event = (
		names: string
	): string => `(event${ts(': RequestEvent')})${ts(': Promise<never>')} {
	const { locals, url } = event;${names}`;
	const path = `${project.lib}/server/login`;
	const doc = (sentence: string): string =>
		js(
			`/**\n * ${sentence}\n *\n * @param {import('@sveltejs/kit').RequestEvent} event\n * @returns {Promise<never>}\n */`
		) || `/** ${sentence} */`;
	const reexport = (route: string, name: string) => {
		const file = `${project.routes}/${route}/+server`;
		return {
			path: file,
			text: `export { ${name} as GET } from '${importPath(file, path)}';\n`
		};
	};
	return [
		{
			path,
			text: `${line}
import { error, redirect${ts(', type RequestEvent')} } from '@sveltejs/kit';
import * as client from 'openid-client';
import { wayBack } from 'vestiary';

import { deviceOf } from './device';
${ts(`\n${DATA}`)}
${js('/** @type {Promise<client.Configuration> | undefined} */\n')}let discovered${ts(': Promise<client.Configuration> | undefined')};

/** The provider's metadata: fetched once, when first needed, and again after a failure. */
function provider()${ts(': Promise<client.Configuration>')} {
	discovered ??= client
		.discovery(
			new URL(${of('OIDC_ISSUER')}),
			${of('OIDC_CLIENT_ID')},
			undefined,
			client.ClientSecretBasic(${of('OIDC_CLIENT_SECRET')})
		)
		.catch((cause${ts(': unknown')}) => {
			discovered = undefined;
			console.error(cause);
			error(503, 'The login service is not available.');
		});
	return discovered;
}

${doc('Sends the visitor to the provider.')}
export async function startLogin${event('')}
	const next = wayBack(url.searchParams.get('next'), '/account');
	if (locals.session.userId !== undefined) redirect(303, next);
	const login = {
		verifier: client.randomPKCECodeVerifier(),
		state: client.randomState(),
		nonce: client.randomNonce(),
		next
	};
	const address = client.buildAuthorizationUrl(await provider(), {
		redirect_uri: new URL('/login/callback', url).href,
		scope: 'openid profile email',
		state: login.state,
		nonce: login.nonce,
		code_challenge: await client.calculatePKCECodeChallenge(login.verifier),
		code_challenge_method: 'S256'
	});
	await locals.session.setData({ ...locals.session.data, login });
	await locals.session.save();
	redirect(303, address${outside});
}

${doc("Takes the provider's answer, and logs the user in.")}
export async function finishLogin${event('')}
	const { login, ...rest } = locals.session.data;
	if (!login) error(400, 'This login has expired, or was begun in another browser.');
	// Used up, whatever the result: no callback is accepted twice.
	await locals.session.setData(rest);
	await locals.session.save();

	const answer = await client
		.authorizationCodeGrant(await provider(), url, {
			expectedState: login.state,
			expectedNonce: login.nonce,
			pkceCodeVerifier: login.verifier
		})
		.catch((cause${ts(': unknown')}) => refuse(cause));
	const claims = answer.claims();
	if (!claims || !answer.id_token) error(400, 'The provider sent no ID token.');
	await locals.session.login(claims.sub, {
		data: { user: { name: String(claims.name ?? claims.sub) }, idToken: answer.id_token },
		keep: ['cart'],
		device: deviceOf(event)
	});
	redirect(303, login.next);
}

${doc('Ends the session here, and at the provider.')}
export async function logOut${event('')}
	const { idToken } = locals.session.data;
	await locals.session.destroy();
	if (idToken === undefined) redirect(303, '/');
	const address = client.buildEndSessionUrl(await provider(), {
		id_token_hint: idToken,
		post_logout_redirect_uri: new URL('/', url).href
	});
	redirect(303, address${outside});
}

/**
 * Tells visitors what to do, and logs the code. The error itself may hold tokens.${js('\n *\n * @param {any} cause\n * @returns {never}')}
 */
function refuse(cause${ts(': unknown')})${ts(': never')} {
	const { code, error: answer } = ${ts('cause as { code?: unknown; error?: unknown }')}${js('cause')};
	console.error('OpenID Connect:', answer ?? code);
	const cancelled =
		cause instanceof client.AuthorizationResponseError && cause.error === 'access_denied';
	if (cancelled) error(403, 'The login was cancelled.');
	error(400, 'This login could not be verified. Please try again.');
}
`
		},
		reexport('login', 'startLogin'),
		reexport('login/callback', 'finishLogin')
	];
}
