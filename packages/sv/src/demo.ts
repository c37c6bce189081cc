import { logIn } from './openid-connect.ts';
import { importPath, printer, type Draft, type Print } from './project.ts';
import { isPerRequest, optionsModule } from './options.ts';
import { VERSIONS, type StoreKind } from './stores.ts';

/** How visitors of the demo log in. */
export type Login = 'password' | 'openid-connect';

/** A module that the demo writes, without the ending of its language. */
interface Module {
	readonly path: string;
	readonly text: string;
}

/** Writes pages to log in and out, a page for logged-in visitors, and one with their devices. */
export function writeDemo(draft: Draft, store: StoreKind, login: Login): void {
	const { project } = draft;
	const { lib, routes } = project;
	const mine = draft.read(draft.existing(`${lib}/server/device`)) !== undefined;
	const taken = ['login', 'logout', 'account', 'devices'].filter((route) =>
		['+page.svelte', '+page.server.ts', '+page.server.js', '+server.ts', '+server.js'].some(
			(file) => draft.read(`${routes}/${route}/${file}`) !== undefined
		)
	);
	if (taken.length > 0) {
		if (!mine)
			draft.notes.push(
				`The app has /${taken.join(', /')} already, so there are no demo pages.`
			);
		return;
	}
	if (draft.read(draft.existing(optionsModule(project))) === undefined) {
		const path = draft.script(optionsModule(project));
		draft.notes.push(
			`For the demo pages, export the options of the handle as \`options\` in ${path}, and run this again.`
		);
		return;
	}
	const print = printer(project);
	const modules = [
		device(lib, print),
		guard(lib, print),
		...(login === 'password' ? passwordLogin(draft, print) : logIn(draft, print)),
		logout(draft, print, login),
		account(draft, print),
		devices(draft, print, store)
	];
	for (const { path, text } of modules) draft.add(draft.existing(path), text);
	draft.add(`${routes}/account/+page.svelte`, accountPage(print));
	draft.add(`${routes}/devices/+page.svelte`, devicesPage(print));
	if (login === 'password') draft.add(`${routes}/login/+page.svelte`, loginPage(print));
	draft.depend('bowser', VERSIONS.bowser);
	const user = login === 'password' ? ' as ada, with the password lovelace' : '';
	draft.notes.push(
		`Start the app, open /login, and log in${user}. Then restart it: you still are.`
	);
}

function device(lib: string, { ts, js }: Print): Module {
	const types = js(
		"\n *\n * @param {import('@sveltejs/kit').RequestEvent} event\n * @returns {import('vestiary').LoginDevice}\n"
	);
	return {
		path: `${lib}/server/device`,
		text: `${ts("import type { RequestEvent } from '@sveltejs/kit';\n")}import Bowser from 'bowser';
${ts("import type { LoginDevice } from 'vestiary';\n")}
/**${types === '' ? ' ' : '\n * '}The device of a request, by which its user will recognise it.${types} */
export function deviceOf({ request, getClientAddress }${ts(': RequestEvent')})${ts(': LoginDevice')} {
	const { browser, os } = Bowser.parse(request.headers.get('user-agent') || 'unknown');
	return { browser: browser.name, system: os.name, address: getClientAddress() };
}
`
	};
}

function guard(lib: string, { ts }: Print): Module {
	return {
		path: `${lib}/server/auth`,
		text: `import { getRequestEvent } from '$app/server';
import { redirect } from '@sveltejs/kit';
import { loginPage } from 'vestiary';

/** The user's ID. Sends a visitor who is not logged in to the login page, and then back. */
export function requireUser()${ts(': string')} {
	const event = getRequestEvent();
	const { session } = event.locals;
	if (session.userId === undefined) redirect(303, loginPage(event));
	session.private(); // the Back button does not show it after a logout
	return session.userId;
}
`
	};
}

function passwordLogin({ project }: Draft, { ts, js }: Print): Module[] {
	const { lib, routes } = project;
	const path = `${routes}/login/+page.server`;
	const at = (module: string): string => importPath(path, `${lib}/server/${module}`);
	return [
		{
			path: `${lib}/server/users`,
			text: `const USERS = [{ id: '1', name: 'ada', password: 'lovelace' }];

/**
 * Stands in for your own table of users, which would keep only hashes of passwords.${js('\n *\n * @param {FormData} form')}
 */
export async function verify(form${ts(': FormData')})${ts(': Promise<{ id: string } | undefined>')} {
	return USERS.find(
		(user) => user.name === form.get('name') && user.password === form.get('password')
	);
}
`
		},
		{
			path,
			text: `import { fail, redirect } from '@sveltejs/kit';
import { wayBack } from 'vestiary';

import { deviceOf } from '${at('device')}';
import { verify } from '${at('users')}';
${ts("import type { Actions, PageServerLoad } from './$types';\n")}
${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = ({ url }) => ({
	next: wayBack(url.searchParams.get('next'), '/account')
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	default: async (event) => {
		const form = await event.request.formData();
		const user = await verify(form);
		if (!user) return fail(400, { message: 'Wrong name or password' });
		// A new ID, so that one known before the login is worthless. It also saves the session.
		await event.locals.session.login(user.id, { keep: ['cart'], device: deviceOf(event) });
		redirect(303, wayBack(form.get('next'), '/account'));
	}
};
`
		}
	];
}

/** The actions of a form that posts to /logout. */
function logout({ project }: Draft, { ts, js }: Print, login: Login): Module {
	const path = `${project.routes}/logout/+page.server`;
	if (login === 'openid-connect') {
		const own = importPath(path, `${project.lib}/server/login`);
		return {
			path,
			text: `import { logOut } from '${own}';

export const actions = { default: logOut };
`
		};
	}
	return {
		path,
		text: `import { redirect } from '@sveltejs/kit';
${ts("\nimport type { Actions } from './$types';\n")}
${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	default: async ({ locals }) => {
		await locals.session.destroy();
		redirect(303, '/login');
	}
};
`
	};
}

function account({ project }: Draft, { ts, js }: Print): Module {
	const path = `${project.routes}/account/+page.server`;
	return {
		path,
		text: `import { requireUser } from '${importPath(path, `${project.lib}/server/auth`)}';
${ts("import type { PageServerLoad } from './$types';\n")}
${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = () => ({ userId: requireUser() });
`
	};
}

function devices({ project }: Draft, { ts, js }: Print, store: StoreKind): Module {
	const path = `${project.routes}/devices/+page.server`;
	const options = isPerRequest(store) ? 'options(event)' : 'options';
	const event = isPerRequest(store) ? 'event' : '';
	const parameter = isPerRequest(store) ? `event${ts(': RequestEvent')}` : '';
	const type = ts(
		isPerRequest(store) ? "import type { RequestEvent } from '@sveltejs/kit';\n" : ''
	);
	const types = js(
		isPerRequest(store) ? "\n *\n * @param {import('@sveltejs/kit').RequestEvent} event\n" : ''
	);
	const signature = (more: string): string =>
		isPerRequest(store) ? 'event' : more === '' ? '' : `{ ${more} }`;
	const locals = isPerRequest(store) ? 'event.locals' : 'locals';
	const request = isPerRequest(store) ? 'event.request' : 'request';
	return {
		path,
		text: `${type}import { sessions${ts(', type UserSessions')} } from 'vestiary';

import { requireUser } from '${importPath(path, `${project.lib}/server/auth`)}';
import { options } from '${importPath(path, optionsModule(project))}';
${ts("import type { Actions, PageServerLoad } from './$types';\n")}
/**${types === '' ? ' ' : '\n * '}The list of the visitor's sessions.${types} */
function mine(${parameter})${ts(': UserSessions')} {
	return sessions(${options}).of(requireUser());
}

${js("/** @type {import('./$types').PageServerLoad} */\n")}export const load${ts(': PageServerLoad')} = async (${signature('locals')}) => ({
	devices: await mine(${event}).list(${locals}.session)
});

${js("/** @type {import('./$types').Actions} */\n")}export const actions${ts(': Actions')} = {
	end: async (${signature('request')}) => {
		const form = await ${request}.formData();
		await mine(${event}).revoke(String(form.get('handle')));
	},
	endOthers: async (${signature('locals')}) => mine(${event}).revokeOthers(${locals}.session),
	endAll: async (${signature('')}) => mine(${event}).revokeAll()
};
`
	};
}

/** The script of a page, with its properties. */
function script({ ts, js }: Print, properties: string): string {
	return `<script${ts(' lang="ts"')}>
${ts("\timport type { PageProps } from './$types';\n\n")}${js("\t/** @type {import('./$types').PageProps} */\n")}	let { ${properties} }${ts(': PageProps')} = $props();
</script>
`;
}

function loginPage(print: Print): string {
	return `${script(print, 'data, form')}
<h1>Log in</h1>

<form method="POST">
	<input type="hidden" name="next" value={data.next} />
	<label>Name <input name="name" autocomplete="username" required /></label>
	<label>
		Password <input name="password" type="password" autocomplete="current-password" required />
	</label>
	<button>Log in</button>
	{#if form?.message}<p role="alert">{form.message}</p>{/if}
</form>

<p>The demo knows the user ada, with the password lovelace.</p>
`;
}

function accountPage(print: Print): string {
	return `${script(print, 'data')}
<h1>Your account</h1>

<p>You are user {data.userId}.</p>
<p><a href="/devices">Your devices</a></p>

<form method="POST" action="/logout"><button>Log out</button></form>
`;
}

function devicesPage(print: Print): string {
	return `${script(print, 'data')}
<h1>Your devices</h1>

{#each data.devices as { handle, device, created, lastSeen, current } (handle)}
	<form method="POST" action="?/end">
		<p>
			{device?.browser ?? 'Unknown browser'} on {device?.system ?? 'an unknown system'}
			{current ? '(this device)' : ''}
			from {device?.network ?? 'an unknown network'}, logged in {created.toLocaleString()}, last used
			{lastSeen.toLocaleString()}
		</p>
		<input type="hidden" name="handle" value={handle} />
		<button>Log out</button>
	</form>
{/each}

<form method="POST" action="?/endOthers"><button>Log out everywhere else</button></form>
<form method="POST" action="?/endAll"><button>Log out everywhere</button></form>
`;
}
