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
