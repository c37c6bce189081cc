import { Constant, constant } from './generated/vestiary.js';

/** A value that JSON does not preserve. */
export interface OddValue {
	/** Its path: `cart.items[3].price`. */
	path: string;
	/** Its kind, for a message: never the value. */
	kind: string;
}

/** The maximum number of nested objects in session data. */
export const DEEPEST: number = constant(Constant.Levels);

/** The kinds of values that have no JSON text. */
export const BIG_INT = 'a BigInt';
export const CIRCLE = 'a circular reference';

/** The kind of an object that is nested too deeply. */
export const TOO_DEEP = 'an object below too many others';

/**
 * Finds the first value in session data that has no JSON text: a BigInt, a circular reference, or code of the
 * application that throws when it is read.
 */
export function unstorable(data: unknown): OddValue | undefined {
	const judge: Judge = (value, above) => {
		if (typeof value === 'bigint') return BIG_INT;
		if (above.includes(value)) return CIRCLE;
		return above.length > DEEPEST && isObject(value) ? TOO_DEEP : undefined;
	};
	return search(data, '', [], judge, true, {});
}

/**
 * Finds the first value that JSON silently changes or drops, such as a `Date` or a `Map`.
 * @param again The data as the application will read it. An object with a `toJSON` that has the same class there is
 * preserved: the application's schema makes it anew
 * @param restores Whether `again` comes from a library that restores values: then each value that is the same there, or
 * has the same class, is preserved
 */
export function changedByJson(
	data: unknown,
	again?: unknown,
	restores = false
): OddValue | undefined {
	if (isPreserved(data, false)) return undefined;
	const judge: Judge = (value, _, inList, made) => {
		if (restores && isRestored(value, made)) return undefined;
		switch (typeof value) {
			case 'function':
				return 'a function';
			case 'symbol':
				return 'a symbol';
			case 'bigint':
				return BIG_INT;
			case 'number':
				return Number.isFinite(value) ? undefined : String(value);
			case 'undefined':
				// As a property it is dropped, and reads as undefined again.
				return inList ? 'undefined in a list' : undefined;
			case 'object':
				if (value === null || Array.isArray(value) || isMadeAnew(value, made))
					return undefined;
				return classOf(value);
			default:
				return undefined;
		}
	};
	return search(data, '', [], judge, false, { again });
}

/** Whether JSON preserves data that has a JSON text. */
export function isJson(data: unknown): boolean {
	return isPreserved(data, false);
}

/**
 * Finds the first value in data that the application has set, and that JSON silently changes or drops. A member that is as
 * it was stored stays as it is spelled there: JavaScript reads `1e400` as `Infinity`.
 */
export function changedSince(data: object, stored: string): OddValue | undefined {
	const odd = changedByJson(data);
	if (!odd) return undefined;
	const before = JSON.parse(stored) as Record<string, unknown>;
	const set = Object.entries(data).filter(
		([key, value]) => !Object.hasOwn(before, key) || !isSame(value, before[key])
	);
	return changedByJson(Object.fromEntries(set));
}

/** Whether a value is as JSON text was parsed. */
function isSame(value: unknown, parsed: unknown): boolean {
	if (!isObject(value) || !isObject(parsed)) return Object.is(value, parsed);
	const keys = Object.keys(value) as (keyof typeof value)[];
	return (
		isPlain(value) === isPlain(parsed) &&
		Array.isArray(value) === Array.isArray(parsed) &&
		keys.length === Object.keys(parsed).length &&
		keys.every((key) => isSame(value[key], parsed[key]))
	);
}

/** The path of the value to which these keys lead. */
export function pathOf(keys: readonly PropertyKey[]): string {
	return keys.reduce<string>(
		(path, key) => (typeof key === 'number' ? `${path}[${key}]` : join(path, String(key), {})),
		''
	);
}

/** Whether JSON preserves a value that has a JSON text. False also for a value that only a search can judge. */
function isPreserved(value: unknown, inList: boolean, depth = 0): boolean {
	switch (typeof value) {
		case 'string':
		case 'boolean':
			return true;
		case 'number':
			return Number.isFinite(value);
		case 'undefined':
			return !inList;
		case 'object':
			// Data that is too deep has an error of its own.
			if (value === null || depth > DEEPEST) return true;
			return Array.isArray(value)
				? !value.includes(undefined) &&
						value.every((one) => isPreserved(one, true, depth + 1))
				: isPlain(value) &&
						Object.values(value).every((one) => isPreserved(one, false, depth + 1));
		default:
			return false;
	}
}

function isPlain(value: object): boolean {
	const prototype: unknown = Object.getPrototypeOf(value);
	return (prototype === Object.prototype || prototype === null) && !('toJSON' in value);
}

/** Whether a library has restored a value. The members of a plain object, and of a list, are judged by themselves. */
function isRestored(value: unknown, made: unknown): boolean {
	if (!isObject(value)) return Object.is(value, made);
	return isObject(made) && Object.getPrototypeOf(made) === Object.getPrototypeOf(value);
}

/** Whether an object has a JSON text of its own, from which an object of the same class was made. */
function isMadeAnew(value: object, made: unknown): boolean {
	if (!('toJSON' in value) || typeof value.toJSON !== 'function') return false;
	return isObject(made) && Object.getPrototypeOf(made) === Object.getPrototypeOf(value);
}

/** The kind of an object that is not a plain one. */
function classOf(value: object): string | undefined {
	const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null;
	// Objects of another realm have an `Object.prototype` of their own.
	if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined;
	const name = prototype.constructor?.name;
	if (typeof name !== 'string' || name === '') return 'an object of a class';
	return /^(?:Date|Map|Set)$/.test(name) ? `a ${name}` : `an object of the class ${name}`;
}

/** @param made The same value, as the application will read it */
type Judge = (
	value: unknown,
	above: readonly unknown[],
	inList: boolean,
	made: unknown
) => string | undefined;

/** The surroundings of a value. */
interface Around {
	readonly inList?: boolean;
	/** The same value, as the application will read it. */
	readonly again?: unknown;
}

/** The kind of a value whose code throws. */
const THROWS = 'something that throws when it is read';
const TO_JSON = 'an object: a `toJSON` method in it throws';

/**
 * Walks the values that JSON walks: own enumerable properties, and the results of `toJSON`.
 * @param calls Whether to call `toJSON`
 */
function search(
	value: unknown,
	path: string,
	above: readonly unknown[],
	judge: Judge,
	calls: boolean,
	{ inList = false, again }: Around
): OddValue | undefined {
	try {
		const kind = judge(value, above, inList, again);
		if (kind !== undefined) return { path, kind };
		if (!isObject(value) || above.includes(value)) return undefined;
		if (above.length > DEEPEST) return undefined;
		const around = [...above, value];
		if ('toJSON' in value && typeof value.toJSON === 'function') {
			if (!calls) return undefined;
			const made = called(value as Convertible, path);
			return made
				? search(made.value, path, around, judge, calls, { inList })
				: { path, kind: TO_JSON };
		}
		const isList = Array.isArray(value);
		// JSON writes also the holes of a list.
		const keys = isList ? [...value.keys()].map(String) : Object.keys(value);
		for (const key of keys) {
			const below = join(path, key, value);
			const inner = read(value, key);
			if (!inner) return { path: below, kind: THROWS };
			const made = isObject(again) ? read(again, key)?.value : undefined;
			const here = { inList: isList, again: made };
			const found = search(inner.value, below, around, judge, calls, here);
			if (found) return found;
		}
		return undefined;
	} catch {
		return { path, kind: THROWS };
	}
}

function isObject(value: unknown): value is object {
	return typeof value === 'object' && value !== null;
}

interface Convertible {
	toJSON(key: string): unknown;
}

/** The result of `toJSON`; undefined if it throws. */
function called(value: Convertible, path: string): { value: unknown } | undefined {
	try {
		return { value: value.toJSON(path) };
	} catch {
		return undefined;
	}
}

/** The value of a property; undefined if its getter throws. */
function read(object: object, key: string): { value: unknown } | undefined {
	try {
		return { value: (object as Record<string, unknown>)[key] };
	} catch {
		return undefined;
	}
}

function join(path: string, key: string, within: object): string {
	if (Array.isArray(within)) return `${path}[${key}]`;
	if (!/^[\w$]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
	return path === '' ? key : `${path}.${key}`;
}
