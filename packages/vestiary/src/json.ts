import { DataError } from './errors.js';
import { BIG_INT, CIRCLE, DEEPEST, TOO_DEEP, unstorable, type OddValue } from './values.js';

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
		const found = odd ? `${name} is ${odd.kind}${cureOf(odd.kind)}` : 'its text is too long';
		throw new DataError('json', `session data must be JSON: ${found}`, { path: odd?.path });
	}
}

/** A value to store in place of one without JSON text; empty if only the application knows. */
function cureOf(kind: string): string {
	if (kind === BIG_INT) return ': store a string or a number instead';
	return kind === CIRCLE ? ': store each object once, and an ID in its other places' : '';
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
