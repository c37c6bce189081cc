import { expect, test } from 'vitest';

import { loginPage, wayBack } from '../src/index.js';

function eventOf(asked: string): { url: URL } {
	return { url: new URL(asked, 'https://app.example') };
}

test.each<
	[string, Parameters<typeof loginPage> extends [unknown, ...infer Rest] ? Rest : never, string]
>([
	['/account', [], '/login?next=/account'],
	['/orders?page=2&q=a%20b', [], '/login?next=/orders%3Fpage%3D2%26q%3Da%2Bb'],
	['/caf%C3%A9', [], '/login?next=/caf%25C3%25A9'],
	['/account?/save', [], '/login?next=/account'],
	['/account?tab=1&/save', [], '/login?next=/account%3Ftab%3D1'],
	['/account', ['/in?by=mail', 'to'], '/in?by=mail&to=/account'],
	['/login', [], '/login'],
	['/in?x', ['/in?by=mail'], '/in?by=mail'],
	['/a//evil.example', [], '/login']
])('loginPage leads from %s with %j to %s', (asked, rest, location) => {
	expect(loginPage(eventOf(asked), ...rest)).toBe(location);
});

test('loginPage leads to the bare page where SvelteKit hides the URL', () => {
	const event = {
		get url(): URL {
			throw new Error('Cannot read properties of `event.url` inside a remote query');
		}
	};
	expect(loginPage(event)).toBe('/login');
});

test('what loginPage writes leads back', () => {
	for (const asked of ['/', '/a/b?c=%26&d=/e', '/%E2%82%AC?f=%2F%2Fg']) {
		const page = new URL(loginPage(eventOf(asked)), 'https://app.example');
		const back = wayBack(page.searchParams.get('next'), 'nowhere');
		expect(new URL(back, 'https://app.example').href).toBe(
			new URL(asked, 'https://app.example').href.replaceAll('d=/e', 'd=%2Fe')
		);
	}
});

test('wayBack accepts paths of this origin, and nothing else', () => {
	expect(wayBack('/orders?page=2')).toBe('/orders?page=2');
	for (const page of [
		'https://evil.example',
		'//evil.example',
		'/\\evil.example',
		'/\t/evil.example',
		'javascript:alert(1)',
		'/\ud800',
		'',
		null,
		undefined,
		['/orders'],
		new File([], '/orders')
	]) {
		expect(wayBack(page)).toBe('/');
		expect(wayBack(page, '/home')).toBe('/home');
	}
});
