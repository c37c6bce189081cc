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

/** The kind of an object that is nested too deeply. */
export const TOO_DEEP = 'an object below too many others';

/**
 * Finds the first value in session data that has no JSON text: a BigInt, a circular reference, or code of the
 * application that throws when it is read.
 */
export function unstorable(data: unknown): OddValue | undefined {
	const judge: Judge = (value, above) => {
		if (typeof value === 'bigint') return 'a BigInt';
		if (above.includes(value)) return 'a circular reference';
		return above.length > DEEPEST && typeof value === 'object' && value !== null
			? TOO_DEEP
			: undefined;
	};
	return search(data, '', [], judge, true);
}

/** Finds the first value that JSON silently changes or drops, such as a `Date` or a `Map`. */
export function changedByJson(data: unknown): OddValue | undefined {
	const judge: Judge = (value, _, inList) => {
		switch (typeof value) {
			case 'function':
				return 'a function';
			case 'symbol':
				return 'a symbol';
			case 'number':
				return Number.isFinite(value) ? undefined : String(value);
			case 'undefined':
				// As a property it is dropped, and reads as undefined again.
				return inList ? 'undefined in a list' : undefined;
			case 'object':
				return value === null || Array.isArray(value) ? undefined : classOf(value);
			default:
				return undefined;
		}
	};
	return search(data, '', [], judge, false);
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

type Judge = (value: unknown, above: readonly unknown[], inList: boolean) => string | undefined;

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
	inList = false
): OddValue | undefined {
	try {
		const kind = judge(value, above, inList);
		if (kind !== undefined) return { path, kind };
		if (typeof value !== 'object' || value === null || above.includes(value)) return undefined;
		if (above.length > DEEPEST) return undefined;
		const around = [...above, value];
		if ('toJSON' in value && typeof value.toJSON === 'function') {
			if (!calls) return undefined;
			const made = called(value as Convertible, path);
			return made
				? search(made.value, path, around, judge, calls, inList)
				: { path, kind: TO_JSON };
		}
		for (const key of Object.keys(value)) {
			const below = join(path, key, value);
			const inner = read(value, key);
			if (!inner) return { path: below, kind: THROWS };
			const found = search(inner.value, below, around, judge, calls, Array.isArray(value));
			if (found) return found;
		}
		return undefined;
	} catch {
		return { path, kind: THROWS };
	}
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
