/** Whether a host is this machine. Browsers keep its `Secure` cookies over HTTP. */
export function isLocalHost(hostname: string): boolean {
	return /^(?:localhost|.+\.localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
}

/** Whether a client with this address is on this machine. */
export function isLocalAddress(address: string): boolean {
	return /^(?:::1|(?:::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address);
}
