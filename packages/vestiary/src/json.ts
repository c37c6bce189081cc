import { DataError } from './errors.js';
import { DEEPEST, TOO_DEEP, unstorable, type OddValue } from './values.js';

/**
 * The JSON text of a value that an application wants to store.
 * @throws DataError if there is none
 */
export function jsonOf(value: unknown): string {
	try {
		// Despite its type, the result is undefined for a value without JSON text, such as a function.
		const json = JSON.stringify(value) as string | undefined;
		return json ?? 'null';
	} catch {
		const odd = unstorable(value);
		if (odd?.kind === TOO_DEEP)
			throw new DataError('too_deep', `session data is nested deeper than ${DEEPEST} levels`);
		const name = odd?.path === '' ? 'it' : `\`${odd?.path}\``;
		const found = odd ? `${name} is ${odd.kind}` : 'its text is too long';
		throw new DataError('json', `session data must be JSON: ${found}`, { path: odd?.path });
	}
}

/**
 * Refuses a value that JSON changes.
 * @throws DataError that names its path
 */
export function refuse(odd: OddValue | undefined): void {
	if (!odd) return;
	const name = odd.path === '' ? 'it' : `\`${odd.path}\``;
	throw new DataError(
		'json',
		`session data must be JSON: ${name} is ${odd.kind}, which JSON does not preserve: store a string, a number, a list or a plain object instead`,
		{ path: odd.path }
	);
}
