import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { answer, Browser, session } from './browser.js';

let browser: Browser;

beforeEach(() => {
	vi.useFakeTimers();
	browser = new Browser();
});
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

/** Lets everything run that waits for no timer. */
const settled = async (): Promise<void> => {
	await vi.advanceTimersByTimeAsync(0);
};

describe('the tabs of one browser', () => {
	test('learn of a change of public data, and the news ends there', async () => {
		const tabs = ['a', 'b', 'c'].map(() => browser.open(session('one', { data: { cart: 0 } })));
		await settled();
		expect(tabs.map(({ refreshed }) => refreshed)).toEqual([0, 0, 0]);
		// Each load counts, so that no two tabs show the same.
		let cart = 1;
		for (const tab of tabs) tab.loads = () => session('one', { data: { cart: ++cart } });
		tabs[0]?.show(session('one', { data: { cart } }));
		await settled();
		expect(tabs.map(({ refreshed }) => refreshed)).toEqual([0, 1, 1]);
	});

	test.each([undefined, '/_session'])('learn of a login, with the path %s', async (path) => {
		const [one, other] = [
			browser.open(session(undefined, { path })),
			browser.open(session(undefined, { path }))
		];
		await settled();
		browser.server.answer = answer('new');
		other.loads = () => session('new', { path });
		one.show(session('new', { path }));
		await settled();
		expect(other.refreshed).toBe(1);
		expect(one.refreshed).toBe(0);
		expect(browser.server.requests).toEqual(path === undefined ? [] : ['GET /_session']);
	});

	test('learn of a logout', async () => {
		const onEnded = vi.fn();
		const [one, other] = [
			browser.open(session('one')),
			browser.open(session('one'), { onEnded })
		];
		browser.server.answer = answer(undefined);
		one.show(session(undefined));
		await settled();
		expect(onEnded).toHaveBeenCalledOnce();
		expect(other.seen?.gone.has('one')).toBe(true);
		expect(other.refreshed).toBe(0);
	});

	test('have loaded the page again by default after a logout', async () => {
		const [one, other] = [browser.open(session('one')), browser.open(session('one'))];
		await settled();
		browser.server.answer = answer(undefined);
		other.loads = () => session(undefined);
		one.show(session(undefined));
		await settled();
		expect([one.refreshed, other.refreshed]).toEqual([0, 1]);
	});

	test('take another login for no end', async () => {
		const onEnded = vi.fn();
		const [one, other] = [
			browser.open(session('one')),
			browser.open(session('one'), { onEnded })
		];
		browser.server.answer = answer('two');
		other.loads = () => session('two');
		one.show(session('two'));
		await settled();
		expect(onEnded).not.toHaveBeenCalled();
		expect(other.refreshed).toBe(1);
		expect(other.seen?.gone.has('one')).toBe(true);
	});

	test('learn of a login that comes while they leave the last session', async () => {
		const [one, other] = [browser.open(session('one')), browser.open(session('one'))];
		await settled();
		browser.server.answer = answer(undefined);
		let reply = (): void => undefined;
		other.loads = async () =>
			new Promise((resolve) => {
				reply = () => {
					resolve(session(undefined));
				};
			});
		one.show(session(undefined));
		await settled();
		// The request that the other tab has sent has no cookie yet.
		browser.server.answer = answer('two');
		one.show(session('two'));
		await settled();
		other.loads = () => session('two');
		reply();
		await settled();
		expect(other.refreshed).toBe(2);
	});

	test('load changed data when the visitor sees them', async () => {
		const [one, other] = [browser.open(session('one')), browser.open(session('one'))];
		browser.hide(true);
		one.show(session('one', { data: 1 }));
		await settled();
		expect(other.refreshed).toBe(0);
		browser.hide(false);
		await settled();
		expect(other.refreshed).toBe(1);
	});

	test('show a prerendered page without telling anyone', async () => {
		const [one, other] = [browser.open(session('one')), browser.open(session('one'))];
		one.show(undefined);
		await settled();
		expect(other.refreshed).toBe(0);
		expect(browser.server.requests).toEqual([]);
	});
});

describe('the stream', () => {
	test('is one for all tabs, and the next tab opens it when the first one is closed', async () => {
		const [one, other] = [browser.open(session('one')), browser.open(session('one'))];
		await settled();
		expect(browser.streams.opened).toBe(1);
		one.leave();
		await settled();
		expect([browser.streams.opened, browser.streams.open.size]).toEqual([2, 1]);
		other.leave();
		expect(browser.streams.open.size).toBe(0);
	});

	test('is one for each tab without a lock manager', async () => {
		browser = new Browser({ locks: false });
		browser.open(session('one'));
		browser.open(session('one'));
		await settled();
		expect(browser.streams.open.size).toBe(2);
	});

	test('is not opened for a visitor without a session, nor without a path', async () => {
		browser.open(session(undefined));
		browser.open(session('one', { path: undefined }));
		await settled();
		expect(browser.streams.opened).toBe(0);
	});

	test('ends with the session, and then all tabs are out', async () => {
		const tabs = [1, 2, 3].map(() => browser.open(session('one')));
		for (const tab of tabs) tab.loads = () => session(undefined);
		await settled();
		browser.server.answer = answer(undefined);
		browser.streams.end();
		await settled();
		expect(tabs.map(({ refreshed }) => refreshed)).toEqual([1, 1, 1]);
		expect(browser.streams.open.size).toBe(0);
		await vi.advanceTimersByTimeAsync(120_000);
		expect(browser.streams.opened).toBe(1);
	});

	test('is opened again with back-off after a lost connection, and ends no session', async () => {
		const tab = browser.open(session('one'));
		await settled();
		for (let opened = 1; opened < 10; opened++) {
			// The server breaks each connection as soon as it is open.
			browser.streams.end();
			while (browser.streams.opened === opened) await vi.advanceTimersByTimeAsync(100);
		}
		browser.streams.end();
		// Half of the longest pause.
		await vi.advanceTimersByTimeAsync(14_000);
		expect(browser.streams.opened).toBe(10);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(browser.streams.opened).toBe(11);
		// This one has lasted.
		browser.streams.end();
		await vi.advanceTimersByTimeAsync(1_000);
		expect(browser.streams.opened).toBe(12);
		expect([tab.refreshed, tab.seen?.gone.size]).toEqual([0, 0]);
	});

	test('follows a login in its tab', async () => {
		const tab = browser.open(session(undefined));
		await settled();
		tab.show(session('one'));
		tab.show(session('two'));
		expect([browser.streams.opened, browser.streams.open.size]).toEqual([2, 1]);
		tab.show(session(undefined));
		expect(browser.streams.open.size).toBe(0);
	});

	test('is closed while the browser keeps the page, which asks when it is back', async () => {
		const tab = browser.open(session('one'));
		await settled();
		browser.window.dispatchEvent(new Event('pagehide'));
		expect(browser.streams.open.size).toBe(0);
		await settled();
		browser.server.answer = answer(undefined);
		tab.loads = () => session(undefined);
		browser.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
		await settled();
		expect(tab.refreshed).toBe(1);
	});
});

describe('the end of a session', () => {
	test.each([
		['of a user, whose next session is anonymous', true, 'anonymous', true],
		['of an anonymous visitor', false, undefined, true],
		['of an anonymous visitor, whose next session is that of a user', false, 'user', false]
	] as const)('%s', async (_, signedIn, next, hasEnded) => {
		const onEnded = vi.fn();
		browser.open(session('one', { signedIn }), { onEnded });
		await settled();
		browser.server.answer = answer(next, { signedIn: next === 'user' });
		browser.streams.end();
		await settled();
		expect(onEnded).toHaveBeenCalledTimes(hasEnded ? 1 : 0);
	});

	test('is not what a server says that knows nothing', async () => {
		const tab = browser.open(session('one'));
		await settled();
		browser.server.status = 503;
		browser.server.answer = answer(undefined);
		browser.streams.end();
		await settled();
		expect([tab.refreshed, tab.seen?.gone.size]).toEqual([0, 0]);
	});
});

test('a change of a Map is a change of public data', async () => {
	const data = (count: number): Map<string, number> => new Map([['hats', count]]);
	const [one, other] = [1, 2].map(() => browser.open(session('one', { data: data(1) })));
	await settled();
	one?.show(session('one', { data: data(2) }));
	await settled();
	expect(other?.refreshed).toBe(1);
});

describe('late answers', () => {
	test('data that was asked for before a logout is not shown after it, and is loaded again', async () => {
		const tab = browser.open(session('one', { data: 'mine' }));
		await settled();
		browser.server.answer = answer(undefined);
		tab.loads = () => session(undefined);
		browser.streams.end();
		await settled();
		expect(tab.refreshed).toBe(1);
		// The response to an earlier request.
		tab.show(session('one', { data: 'mine' }));
		expect(tab.seen?.gone.has('one')).toBe(true);
		await settled();
		expect(tab.refreshed).toBe(2);
	});

	test('data of an ended session is loaded again until it is another one, with back-off', async () => {
		const tab = browser.open(session('one'));
		await settled();
		browser.server.answer = answer(undefined);
		tab.loads = () => {
			if (tab.refreshed < 3) throw new Error('the network is down');
			return tab.refreshed < 5 ? session('one') : session(undefined);
		};
		browser.streams.end();
		await settled();
		expect(tab.refreshed).toBe(1);
		await vi.advanceTimersByTimeAsync(600_000);
		expect(tab.refreshed).toBe(5);
	});

	test('an answer about the last session does not end the next one', async () => {
		const tab = browser.open(session('one'));
		await settled();
		let reply = (): void => undefined;
		browser.server.answer = answer(undefined);
		browser.server.asked = async () => new Promise<void>((resolve) => (reply = resolve));
		browser.streams.end();
		await settled();
		tab.show(session('two'));
		reply();
		await settled();
		expect(tab.seen?.gone.size).toBe(0);
		expect(tab.refreshed).toBe(0);
	});

	test('the message of a tab with late data ends no session', async () => {
		const [one, other] = [browser.open(session('two')), browser.open(session('two'))];
		await settled();
		browser.server.answer = answer('two');
		one.show(session('one'));
		await settled();
		expect([other.refreshed, other.seen?.gone.size]).toEqual([0, 0]);
	});

	test('a session that a login has just replaced is asked about again, until the cookie is there', async () => {
		const onEnded = vi.fn();
		const tab = browser.open(session('one'), { onEnded });
		await settled();
		browser.server.answer = answer(undefined, { replaced: true });
		tab.loads = () => session('two');
		browser.streams.end();
		await settled();
		expect(tab.refreshed).toBe(0);
		browser.server.answer = answer('two');
		await vi.advanceTimersByTimeAsync(200);
		expect(tab.refreshed).toBe(1);
		expect(onEnded).not.toHaveBeenCalled();
	});

	test('a session that a login elsewhere has replaced is out within a second', async () => {
		const onEnded = vi.fn();
		browser.open(session('one'), { onEnded });
		await settled();
		browser.server.answer = answer(undefined, { replaced: true });
		browser.streams.end();
		await vi.advanceTimersByTimeAsync(999);
		expect(onEnded).toHaveBeenCalledOnce();
	});
});

describe('the warning', () => {
	const ending = (seconds: number): { at: number; expires: number } => ({
		// The clock of the server is an hour ahead.
		at: Date.now() + 3_600_000,
		expires: Date.now() + 3_600_000 + seconds * 1_000
	});

	test('is given when the session ends soon, counts down, and ends with the session', async () => {
		const [onExpiring, onEnded] = [vi.fn(), vi.fn()];
		const end = ending(900);
		const tab = browser.open(session('one', end), { warnBefore: 120, onExpiring, onEnded });
		browser.server.answer = answer('one', end);
		browser.server.asked = () => {
			const at = Date.now() + 3_600_000;
			browser.server.answer = answer(at < end.expires ? 'one' : undefined, { ...end, at });
		};
		await vi.advanceTimersByTimeAsync(779_000);
		expect(tab.seen?.secondsLeft).toBeUndefined();
		expect(browser.server.requests).toEqual([]);
		await vi.advanceTimersByTimeAsync(1_000);
		expect(tab.seen?.secondsLeft).toBe(120);
		expect(onExpiring).toHaveBeenCalledExactlyOnceWith(120);
		await vi.advanceTimersByTimeAsync(30_000);
		expect(tab.seen?.secondsLeft).toBe(90);
		expect(onExpiring).toHaveBeenCalledOnce();
		expect(browser.server.requests.length).toBeLessThan(6);
		expect(onEnded).not.toHaveBeenCalled();
		await vi.advanceTimersByTimeAsync(90_000 + 20_000);
		expect(onEnded).toHaveBeenCalledOnce();
		expect(tab.seen?.secondsLeft).toBeUndefined();
	});

	test('is not given if the session was used meanwhile, in whatever tab', async () => {
		const onExpiring = vi.fn();
		const tab = browser.open(session('one', ending(900)), { onExpiring });
		await vi.advanceTimersByTimeAsync(800_000);
		browser.server.answer = answer('one', ending(900));
		await vi.advanceTimersByTimeAsync(90_000);
		expect(browser.server.requests).toEqual(['GET /_session']);
		expect(tab.seen?.secondsLeft).toBeUndefined();
		expect(onExpiring).not.toHaveBeenCalled();
	});

	test('is taken back in all tabs by `extend()`', async () => {
		const tabs = [1, 2].map(() => browser.open(session('one', ending(30))));
		browser.server.answer = answer('one', ending(30));
		await settled();
		expect(tabs.map(({ seen }) => seen?.secondsLeft)).toEqual([30, 30]);
		browser.server.answer = answer('one', ending(900));
		expect(await tabs[0]?.tab.extend()).toBe(true);
		await settled();
		expect(tabs.map(({ seen }) => seen?.secondsLeft)).toEqual([undefined, undefined]);
		expect(browser.server.requests.filter((one) => one.startsWith('POST'))).toHaveLength(1);
	});

	test('`extend()` says if it is too late, and if the server cannot be reached', async () => {
		const onEnded = vi.fn();
		const tab = browser.open(session('one', ending(900)), { onEnded });
		expect(await tab.tab.extend()).toBe(false);
		expect(onEnded).not.toHaveBeenCalled();
		browser.server.answer = answer(undefined);
		expect(await tab.tab.extend()).toBe(false);
		expect(onEnded).toHaveBeenCalledOnce();
	});

	test('without a path, the page is loaded again at the end, and to extend the session', async () => {
		const tab = browser.open(session('one', { ...ending(900), path: undefined }));
		tab.loads = () => session('one', { ...ending(900), path: undefined });
		await vi.advanceTimersByTimeAsync(850_000);
		expect(tab.seen?.secondsLeft).toBe(50);
		expect(await tab.tab.extend()).toBe(true);
		expect(tab.seen?.secondsLeft).toBeUndefined();
		tab.loads = () => session(undefined, { path: undefined });
		await vi.advanceTimersByTimeAsync(900_000);
		expect(tab.refreshed).toBe(2);
		expect(browser.server.requests).toEqual([]);
		await vi.advanceTimersByTimeAsync(900_000);
		expect(tab.refreshed).toBe(2);
	});

	test('goes on while the server cannot be reached, and ends no session', async () => {
		const onEnded = vi.fn();
		const tab = browser.open(session('one', ending(30)), { onEnded });
		await vi.advanceTimersByTimeAsync(29_000);
		expect(tab.seen?.secondsLeft).toBe(1);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(onEnded).not.toHaveBeenCalled();
		expect(tab.seen?.secondsLeft).toBe(0);
		browser.server.answer = answer(undefined);
		await vi.advanceTimersByTimeAsync(10_000);
		expect(onEnded).toHaveBeenCalledOnce();
	});
});

test('a tab that the visitor sees again asks, but not each time', async () => {
	const tab = browser.open(session('one'));
	browser.server.answer = answer('one');
	for (let times = 0; times < 3; times++) {
		browser.hide(true);
		browser.hide(false);
	}
	await settled();
	expect(browser.server.requests).toEqual(['GET /_session']);
	await vi.advanceTimersByTimeAsync(60_000);
	browser.server.answer = answer(undefined);
	tab.loads = () => session(undefined);
	browser.hide(true);
	browser.hide(false);
	await settled();
	expect(tab.refreshed).toBe(1);
});
