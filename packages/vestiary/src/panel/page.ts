/** The page of the panel. It has no text of a request in it: its script asks for the log, and inserts text only. */
export function pageOf(nonce: string, token: string): string {
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Vestiary: sessions of this app</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<header>
<h1>Vestiary</h1>
<p>Sessions of the requests to this app, in <code>vite dev</code> only</p>
<label><input type="checkbox" id="problems"> Problems only</label>
</header>
<main>
<nav aria-label="Requests"><ol id="list"></ol></nav>
<section id="detail"><p class="empty">Load a page of your app: its requests appear here.</p></section>
</main>
<p id="answer" role="status"></p>
<script nonce="${nonce}" data-token="${token}">${SCRIPT}</script>
</body>
</html>
`;
}

const STYLE = `
:root {
	--text: #1d2433; --soft: #5b6478; --ground: #f6f7f9; --card: #fff; --line: #e3e6ec; --chosen: #eaf0fd;
	--accent: #2f5fd0; --good: #1d7a46; --good-ground: #e5f5eb; --problem: #a33a12; --problem-ground: #fdece4;
	--note-ground: #eef0f4;
}
@media (prefers-color-scheme: dark) {
	:root {
		--text: #e4e8f1; --soft: #9aa4b8; --ground: #14171d; --card: #1b1f27; --line: #2b313c; --chosen: #222c42;
		--accent: #8fb0ff; --good: #7fd6a2; --good-ground: #17301f; --problem: #ffab87; --problem-ground: #3a2118;
		--note-ground: #262b35;
	}
}
* { box-sizing: border-box; }
body {
	margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--ground); color: var(--text);
	font: 15px/1.5 system-ui, sans-serif;
}
code, .mono { font: 13px/1.5 ui-monospace, 'Cascadia Mono', Menlo, Consolas, monospace; }
header {
	display: flex; align-items: baseline; gap: 16px; padding: 14px 24px; border-bottom: 1px solid var(--line);
	background: var(--card);
}
h1 { margin: 0; font-size: 17px; letter-spacing: -0.01em; }
header p { margin: 0; color: var(--soft); flex: 1; }
label { color: var(--soft); display: flex; gap: 8px; align-items: center; }
main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(300px, 30%) 1fr; }
nav { overflow-y: auto; border-right: 1px solid var(--line); background: var(--card); }
ol { list-style: none; margin: 0; padding: 0; }
li button {
	display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; width: 100%; padding: 10px 24px; border: 0;
	border-bottom: 1px solid var(--line); background: none; color: inherit; font: inherit; text-align: left; cursor: pointer;
}
li button:hover { background: var(--ground); }
li button[aria-current] { background: var(--chosen); box-shadow: inset 3px 0 var(--accent); }
li button:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.path { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.small { color: var(--soft); font-size: 13px; }
.chip {
	align-self: start; padding: 0 9px; border-radius: 99px; background: var(--note-ground); color: var(--soft); font-size: 12.5px;
	line-height: 21px; white-space: nowrap;
}
.chip.good { background: var(--good-ground); color: var(--good); }
.chip.problem { background: var(--problem-ground); color: var(--problem); }
#detail { overflow-y: auto; padding: 24px 32px 48px; }
#detail > * { max-width: 800px; }
h2 { margin: 0; font-size: 20px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h3 { margin: 28px 0 8px; font-size: 13px; font-weight: 600; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.reason { padding: 11px 16px 11px 36px; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.reason:last-child { border-bottom: 0; }
.reason::before { content: '·'; float: left; margin-left: -20px; color: var(--soft); font-weight: 700; }
.reason.good::before { content: '✓'; color: var(--good); }
.reason.problem::before { content: '!'; color: var(--problem); }
.cure { display: block; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; padding: 14px 16px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; padding: 12px 16px; border-top: 1px solid var(--line); }
.buttons button {
	padding: 5px 12px; border: 1px solid var(--line); border-radius: 7px; background: var(--ground); color: inherit;
	font: inherit; font-size: 14px; cursor: pointer;
}
.buttons button:hover { border-color: var(--accent); }
.buttons button:focus-visible, .times button:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
#answer {
	position: fixed; z-index: 2; bottom: 20px; left: 50%; transform: translateX(-50%); margin: 0; padding: 10px 18px; max-width: 90vw;
	border-radius: 9px; background: var(--text); color: var(--ground);
}
#answer:empty { display: none; }
.times { padding: 6px 0; }
.times li { position: relative; padding-left: 36px; }
.times li::before {
	content: ''; position: absolute; left: 18px; top: 14px; width: 9px; height: 9px; border-radius: 99px;
	background: var(--soft); z-index: 1;
}
.times li::after { content: ''; position: absolute; left: 22px; top: 0; bottom: 0; width: 1px; background: var(--line); }
.times li:first-child::after { top: 18px; }
.times li:last-child::after { bottom: calc(100% - 18px); }
.times li.good::before { background: var(--good); }
.times li.problem::before { background: var(--problem); }
.times li.now::before { box-shadow: 0 0 0 3px var(--chosen), 0 0 0 4px var(--accent); }
.times button { display: block; width: 100%; grid-template-columns: none; padding: 5px 16px 5px 4px; border: 0; }
.times .end { padding: 5px 16px 5px 40px; color: var(--soft); }
.tree { padding: 12px 16px; border-top: 1px solid var(--line); }
.tree details > div { padding-left: 18px; border-left: 1px solid var(--line); margin-left: 4px; }
.tree summary { cursor: pointer; }
.key { color: var(--accent); }
.empty { color: var(--soft); }
@media (max-width: 760px) {
	main { grid-template-columns: 1fr; grid-template-rows: 40% 1fr; }
	nav { border-right: 0; border-bottom: 1px solid var(--line); }
	header p { display: none; }
	h1 { flex: 1; }
	#detail { padding: 20px 24px 40px; }
}
`;

const SCRIPT = `
const list = document.getElementById('list');
const detail = document.getElementById('detail');
const onlyProblems = document.getElementById('problems');
const answer = document.getElementById('answer');
const { token } = document.currentScript.dataset;
document.currentScript.removeAttribute('data-token');
let entries = [];
let chosen;
let hiding;
let seen = '';

const make = (name, className, ...children) => {
	const element = document.createElement(name);
	if (className) element.className = className;
	element.append(...children);
	return element;
};

/** A text in which pieces between backticks are code. */
const prose = (text) => text.split('\\x60').map((piece, n) => (n % 2 ? make('code', '', piece) : piece));

const reasonsOf = (entry) => [...entry.cookie, ...entry.steps, ...entry.response];
const isProblem = (entry) => entry.hints.length > 0 || reasonsOf(entry).some(({ kind }) => kind === 'problem');
const WORDS = { none: 'no session', valid: 'session' };

function chip(entry) {
	const kind = isProblem(entry) ? 'problem' : entry.session ? 'good' : '';
	const word = entry.state === 'none' && entry.session ? 'new session' : WORDS[entry.state] ?? entry.state;
	return make('span', 'chip ' + kind, word);
}

const time = (at) => new Date(at).toLocaleTimeString();
const facts = (entry) =>
	[entry.status, entry.took === undefined ? undefined : Math.round(entry.took) + ' ms', time(entry.at)]
		.filter((fact) => fact !== undefined).join(' · ');

function row(entry) {
	const button = make('button', '', make('span', 'path mono', entry.method + ' ' + entry.path), chip(entry),
		make('span', 'small', facts(entry)));
	if (entry.n === chosen) button.setAttribute('aria-current', 'true');
	button.onclick = () => { chosen = entry.n; show(); };
	return make('li', '', button);
}

function block(title, reasons) {
	if (reasons.length === 0) return [];
	const rows = reasons.map(({ kind, text, cure }) =>
		make('div', 'reason ' + kind, ...prose(text), ...(cure ? [make('span', 'cure', ...prose(cure))] : [])));
	return [make('h3', '', title), make('div', 'card', ...rows)];
}

function tree(key, value) {
	const name = make('span', 'key mono', key);
	if (typeof value !== 'object' || value === null)
		return make('div', '', name, make('span', 'mono', ': ' + JSON.stringify(value)));
	const members = Object.entries(value);
	const size = Array.isArray(value) ? '[' + members.length + ']' : '{' + members.length + '}';
	const branch = make('details', '', make('summary', '', name, make('span', 'small', '  ' + size)),
		make('div', '', ...members.map(([one, member]) => tree(one, member))));
	branch.open = members.length < 20;
	return branch;
}

const until = (at) => at === undefined ? 'never' : new Date(at).toLocaleString();

function session(entry) {
	const { session } = entry;
	if (!session) return [];
	const rows = [['Name for logs', session.logId], ['User', session.userId ?? 'none by login()'],
		['Ends unless used', until(session.expires)],
		...(session.idleUntil === undefined ? [] : [['Idle until', until(session.idleUntil)]])];
	const terms = rows.flatMap(([term, value]) => [make('dt', '', term), make('dd', '', value ?? '')]);
	const data = make('div', 'tree', tree('data', session.data));
	const buttons = make('div', 'buttons', ...BUTTONS.map(([name, text]) => {
		const button = make('button', '', text);
		button.onclick = () => press(entry.n, name);
		return button;
	}));
	return [make('h3', '', 'Session after the request'), make('div', 'card', make('dl', '', ...terms), data, buttons)];
}

const BUTTONS = [['expire', 'Expire now'], ['steal', 'Steal this cookie into a second browser'],
	['conflict', 'Make a conflict'], ['log-out', 'Log out']];

async function press(n, action) {
	const tab = action === 'steal' ? open('about:blank') : null;
	const response = await fetch('/__vestiary/act?n=' + n + '&do=' + action, {
		method: 'POST', headers: { 'x-vestiary-token': token } });
	const text = await response.text();
	const said = response.ok ? JSON.parse(text) : { text };
	if (tab && said.open) tab.location = said.open;
	else tab?.close();
	answer.replaceChildren(...prose(said.text));
	clearTimeout(hiding);
	hiding = setTimeout(() => answer.replaceChildren(), 8000);
}

/** All requests with the session of this one, also under the names that it had before and after a login. */
function relatives(entry) {
	const names = new Set([entry.loaded, entry.session?.logId].filter(Boolean));
	for (let size = 0; size !== names.size; ) {
		size = names.size;
		for (const { loaded, session } of entries)
			if (names.has(loaded) || names.has(session?.logId))
				for (const name of [loaded, session?.logId]) if (name) names.add(name);
	}
	return entries.filter(({ loaded, session }) => names.has(loaded) || names.has(session?.logId));
}

function timeline(entry) {
	const all = relatives(entry);
	if (all.length === 0) return [];
	const rows = all.map((one) => {
		const problems = one.cookie.filter(({ kind }) => kind === 'problem');
		const told = [...problems, ...one.steps];
		if (told.length === 0) told.push({ text: 'Only read' });
		const button = make('button', '', make('span', 'mono', one.method + ' ' + one.path), ' ',
			make('span', 'small', time(one.at)),
			...told.map(({ text }) => make('div', 'small', ...prose(text))));
		button.onclick = () => { chosen = one.n; show(); };
		const kind = isProblem(one) ? 'problem' : one.steps.some((step) => step.kind === 'good') ? 'good' : '';
		return make('li', kind + (one.n === entry.n ? ' now' : ''), button);
	});
	const last = all[all.length - 1];
	const end = !last.session ? 'The session has ended.'
		: last.session.expires === undefined ? '' : 'It ends at ' + until(last.session.expires) + ' unless it is used.';
	return [make('h3', '', 'Timeline of the session'),
		make('div', 'card', make('ol', 'times', ...rows), ...(end ? [make('div', 'times end', end)] : []))];
}

function show() {
	const shown = entries.filter((entry) => !onlyProblems.checked || isProblem(entry)).reverse();
	list.replaceChildren(...shown.map(row));
	const entry = shown.find(({ n }) => n === chosen) ?? shown[0];
	if (!entry) return;
	const hints = entry.hints.map((text) => ({ kind: 'problem', text }));
	detail.replaceChildren(
		make('h2', '', entry.method + ' ' + entry.path),
		make('p', 'small', entry.origin + ' · ' + facts(entry)),
		...block('Hints', hints),
		...block('Cookie of the request', entry.cookie),
		...block('In the app', entry.steps),
		...block('Cookie of the response', entry.response),
		...session(entry),
		...timeline(entry));
}

async function load() {
	try {
		const response = await fetch('/__vestiary/log', { headers: { accept: 'application/json' } });
		const text = await response.text();
		if (response.ok && text !== seen) {
			seen = text;
			entries = JSON.parse(text);
			show();
		}
	} catch {
		// Vite restarts.
	}
	setTimeout(load, document.hidden ? 5000 : 700);
}

onlyProblems.onchange = show;
load();
`;
