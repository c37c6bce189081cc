import { ConfigError } from './errors.js';
import { checkNames } from './names.js';
import { checkWellFormed } from './runtime.js';

/** The device on which a user logs in, as the application knows it: `device` of `Session.login`. */
export interface LoginDevice {
	/** The browser, such as `Firefox 148`. It is cut after 64 characters. */
	browser?: string | null | undefined;
	/** The operating system, such as `Linux`. It is cut after 64 characters. */
	system?: string | null | undefined;
	/** The visitor's IP address: `event.getClientAddress()`. Only its network is kept. */
	address?: string | null | undefined;
}

/** The device of a session, as a page of devices shows it. */
export interface Device {
	/** The browser, such as `Firefox 148`. */
	browser?: string;
	/** The operating system, such as `Linux`. */
	system?: string;
	/**
	 * The network of the visitor's address: the first 24 bits of IPv4, the first 48 of IPv6, such as `203.0.113.0/24`.
	 */
	network?: string;
}

const NAMES = ['browser', 'system', 'address'] as const;

/**
 * Rejects an invalid device.
 * @throws ConfigError
 */
export function checkDevice(device: unknown): void {
	if (device === undefined || device === null) return;
	const refuse = (problem: string): never => {
		throw new ConfigError('options', `\`device\` of \`session.login()\` ${problem}`);
	};
	if (typeof device !== 'object')
		return refuse('must be an object with `browser`, `system` and `address`');
	checkNames(device, NAMES, { kind: 'a part of the device at a login', prefix: 'device.' });
	for (const name of NAMES) {
		const value: unknown = (device as Record<string, unknown>)[name] ?? undefined;
		if (value !== undefined && typeof value !== 'string')
			refuse(`must have a string as its \`${name}\``);
		checkWellFormed(`\`device.${name}\` of a login`, value as string | undefined);
	}
}

/** The texts of a device for the core: none if no device was given. */
export function textsOf(device: LoginDevice | null | undefined): string[] {
	return device ? NAMES.map((name) => JSON.stringify(device[name] ?? '')) : [];
}
