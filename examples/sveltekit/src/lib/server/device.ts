import type { RequestEvent } from '@sveltejs/kit';
import Bowser from 'bowser';
import type { LoginDevice } from 'vestiary';

/** The device of a request, as its user knows it. */
export function deviceOf({ request, getClientAddress }: RequestEvent): LoginDevice {
	const { browser, os } = Bowser.parse(request.headers.get('user-agent') || 'unknown');
	return { browser: browser.name, system: os.name, address: getClientAddress() };
}
