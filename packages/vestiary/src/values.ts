/** A value that JSON does not keep as it is. */
export interface OddValue {
	/** Where it is: `cart.items[3].price`. */
	path: string;
	/** Its kind, for a message: never the value. */
	kind: string;
}

/**
 * The first value in the data of a session for which there is no JSON text: a BigInt, or an object that refers
 * to itself.
 */
export function unstorable(data: unknown): OddValue | undefined {
	return search(data, '', [], (value, above) => {
		if (typeof value === 'bigint') return 'a BigInt';
		return above.includes(value) ? 'a reference to an object that it is in' : undefined;
	});
}

/** The first value that JSON changes or drops without an error, such as a `Date` or a `Map`. */
export function changedByJson(data: unknown): OddValue | undefined {
	return search(data, '', [], (value, _, inList) => {
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
	});
}

/** The kind of an object that is not a plain one. */
function classOf(value: object): string | undefined {
	const prototype = Object.getPrototypeOf(value) as object | null;
	// Objects of another realm have an `Object.prototype` of their own.
	if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined;
	const { name } = prototype.constructor;
	if (/^(?:Date|Map|Set)$/.test(name)) return `a ${name}`;
	return name === '' ? 'an object of a class' : `an object of the class ${name}`;
}

type Judge = (value: unknown, above: readonly unknown[], inList: boolean) => string | undefined;

/** Walks what JSON walks: own enumerable properties, and what `toJSON` makes. */
function search(
	value: unknown,
	path: string,
	above: readonly unknown[],
	judge: Judge,
	inList = false
): OddValue | undefined {
	const kind = judge(value, above, inList);
	if (kind !== undefined) return { path, kind };
	if (typeof value !== 'object' || value === null || above.includes(value)) return undefined;
	if ('toJSON' in value && typeof value.toJSON === 'function') return undefined;
	const around = [...above, value];
	for (const [key, inner] of Object.entries(value) as [string, unknown][]) {
		const found = search(inner, join(path, key, value), around, judge, Array.isArray(value));
		if (found) return found;
	}
	return undefined;
}

function join(path: string, key: string, within: object): string {
	if (Array.isArray(within)) return `${path}[${key}]`;
	if (!/^[\w$]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
	return path === '' ? key : `${path}.${key}`;
}
