/** The provider's pages: login, consent, logout, and errors. */

export function loginPage(app: string): string {
	return page(
		'Who are you?',
		`<p>${escape(app)} wants to know. Any name will do: there are no passwords here.</p>
		<form method="post">
			<input name="name" aria-label="Your name" placeholder="Your name" required autofocus />
			<button name="answer" value="yes">Log in</button>
			<button name="answer" value="no" class="quiet" formnovalidate>Cancel</button>
		</form>`
	);
}

export function consentPage(app: string, name: string, scopes: string[]): string {
	const items = scopes.map((scope) => `<li>${escape(scope)}</li>`).join('');
	return page(
		`Hello, ${name}`,
		`<p>${escape(app)} asks for:</p>
		<ul>${items}</ul>
		<form method="post">
			<button name="answer" value="yes">Allow</button>
			<button name="answer" value="no" class="quiet">Cancel</button>
		</form>`
	);
}

/** `form` is the provider's own, which the buttons belong to. */
export function logoutPage(form: string): string {
	return page(
		'Also log out here?',
		`<p>You are still logged in at the provider.</p>
		${form}
		<button form="op.logoutForm" name="logout" value="yes">Log out</button>
		<button form="op.logoutForm" class="quiet">Stay</button>`
	);
}

/** Shows addresses of apps in frames, which end their sessions, and then goes on. */
export function framesPage(addresses: string[], after: string): string {
	const frames = addresses.map((address) => `<iframe src="${escape(address)}" hidden></iframe>`);
	return page(
		'Logging you out',
		`<p>The apps that you have used are ending your sessions, too.</p>
		${frames.join('')}
		<p><a href="${escape(after)}">Go on</a></p>
		<script>addEventListener('load', () => location.replace(document.links[0].href));</script>`
	);
}

export function messagePage(title: string, text: string): string {
	return page(title, `<p>${escape(text)}</p>`);
}

function page(title: string, body: string): string {
	return `<!doctype html>
<html lang="en">
	<head>
		<meta charset="utf-8" />
		<meta name="viewport" content="width=device-width, initial-scale=1" />
		<link rel="icon" href="data:," />
		<title>${escape(title)}</title>
		<style>${CSS}</style>
	</head>
	<body>
		<main>
			<p class="brand">The provider</p>
			<h1>${escape(title)}</h1>
			${body}
		</main>
	</body>
</html>`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
	return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

// Not the colours of the app: a visitor should see that this is another site.
const CSS = `
:root {
	color-scheme: light dark;
	--ink: light-dark(#1b2430, #e4eaf2);
	--soft: light-dark(#5a6778, #9aa7b8);
	--paper: light-dark(#eef2f7, #12171d);
	--card: light-dark(#ffffff, #1b222b);
	--line: light-dark(#d8e0ea, #313b48);
	--accent: light-dark(#225ea8, #7fb2ee);
	--on-accent: light-dark(#ffffff, #0f1720);
	font: 1rem/1.55 system-ui, sans-serif;
	color: var(--ink);
	background: var(--paper);
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.25rem; }
main {
	width: 100%; max-width: 26rem; padding: 1.75rem;
	background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
.brand { margin: 0; font-weight: 700; color: var(--accent); }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0.75rem 0 0.5rem; overflow-wrap: anywhere; }
p, ul { margin: 0 0 1.25rem; color: var(--soft); }
ul { padding-left: 1.25rem; }
input, button { font: inherit; padding: 0.5rem 1rem; border: 1px solid var(--line); border-radius: 8px; }
input { width: 100%; margin-bottom: 1rem; color: var(--ink); background: var(--paper); }
button {
	font-weight: 600; cursor: pointer; margin-right: 0.5rem;
	border-color: var(--accent); background: var(--accent); color: var(--on-accent);
}
button.quiet { background: none; border-color: var(--line); color: var(--ink); font-weight: 400; }
:is(input, button):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;
