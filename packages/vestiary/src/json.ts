import { DataError } from './errors.js';
import { DEEPEST, TOO_DEEP, unstorable } from './values.js';

/**
 * JSON text of what an application wants stored.
 * @throws DataError if it has none
 */
export function jsonOf(value: unknown): string {
	try {
		// Not a string for what JSON has no text for, such as a function, whatever its type says.
		const json = JSON.stringify(value) as string | undefined;
		return json ?? 'null';
	} catch {
		const odd = unstorable(value);
		if (odd?.kind === TOO_DEEP)
			throw new DataError('too_deep', `session data is nested deeper than ${DEEPEST} levels`);
		const name = odd?.path === '' ? 'it' : `\`${odd?.path}\``;
		const found = odd ? `${name} is ${odd.kind}` : 'its text is too long';
		throw new DataError('json', `session data must be JSON: ${found}`);
	}
}
