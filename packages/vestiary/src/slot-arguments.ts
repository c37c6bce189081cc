import { ConfigError } from './errors.js';
import { jsonOf, refuse } from './json.js';
import { checkWellFormed } from './runtime.js';
import { changedByJson } from './values.js';

/** The JSON text of a key. */
export function keyText(name: string, key: unknown): string {
	if (typeof key !== 'string')
		throw new ConfigError('options', `the key of \`${name}\` must be a string`);
	checkWellFormed('the key of a slot', key);
	return JSON.stringify(key);
}

/**
 * The JSON text of a value.
 * @throws DataError if there is none, or it stands for another value
 */
export function valueText(value: unknown): string {
	const text = jsonOf(value);
	refuse(changedByJson(value));
	return text;
}

/** An option that is a number of seconds, in milliseconds. */
export function secondsOf(name: string, option: string, seconds: unknown): number {
	if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0)
		return seconds * 1_000;
	throw new ConfigError(
		'options',
		`\`${option}\` of \`${name}\` must be a number of seconds, greater than 0`
	);
}
