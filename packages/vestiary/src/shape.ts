import { ConfigError, DataError } from './errors.js';
import type { Computed } from './driver.js';
import { jsonOf, refuse } from './json.js';
import { RichValues } from './rich-values.js';
import type { StandardSchema } from './standard-schema.js';
import type { SessionData, SveltekitSessionConfig } from './types.js';
import { changedByJson, pathOf } from './values.js';

type Members = Record<string, unknown>;
type Result = Awaited<ReturnType<StandardSchema['~standard']['validate']>>;

/** Stored data, as the application gets it. */
export interface ReadData {
	/** The application's data object. */
	readonly data: SessionData;
	/** The data before the application's changes, as JSON text. */
	readonly base: string;
	/** The top-level keys that were dropped because they do not fit. Undefined if all of the data fits. */
	readonly invalid: readonly string[] | undefined;
	/** Whether the data has a newer version and does not fit, so that this instance must not change it. */
	readonly isLocked: boolean;
}

/**
 * The form of an application's session data: its schema, its version, the migration from older versions, and the values
 * that JSON lacks.
 */
export class Shape {
	readonly #schema: StandardSchema | undefined;
	readonly #rich: RichValues | undefined;
	readonly #migrate: SveltekitSessionConfig['migrate'];
	/** The version of the data that the application writes; 0 if it does not number its versions. */
	readonly version: number;

	/**
	 * The form that these options describe. Undefined if they describe none.
	 * @throws ConfigError if the schema or the transformer cannot be used
	 */
	static of(options: SveltekitSessionConfig): Shape | undefined {
		const { schema, transformer, version, migrate } = options;
		if (migrate && version === undefined)
			throw new ConfigError(
				'options',
				'`migrate` needs `version`: the number of the current version'
			);
		return schema || transformer || version !== undefined ? new Shape(options) : undefined;
	}

	private constructor({ schema, transformer, version = 0, migrate }: SveltekitSessionConfig) {
		this.#schema = schema;
		this.#rich = transformer && new RichValues(transformer);
		this.#migrate = migrate;
		this.version = version;
		if (!schema) return;
		const standard: unknown = schema['~standard'];
		if (typeof (standard as { validate?: unknown } | undefined)?.validate !== 'function')
			throw wrong('must be a Standard Schema, such as one of zod, valibot or arktype');
		this.#empty();
	}

	/**
	 * The JSON text of data.
	 * @throws DataError if there is none
	 */
	textOf(data: unknown): string {
		return jsonOf(this.#rich ? this.#rich.packed(data) : data);
	}

	/** Reads stored data of a version. What does not fit is dropped, so that no visitor is locked out. */
	read(text: string, version: number): ReadData {
		const { members: stored, broken } = this.#unpacked(text);
		const now = version < this.version ? this.#migrated(stored, version) : stored;
		const { data, invalid } = this.#fitting(now ?? stored);
		const isNewer = version > this.version;
		const dropped = [...invalid, ...broken.keys()];
		const isInvalid = !now || dropped.length > 0;
		const base = this.textOf(data);
		return {
			data,
			// With the dropped members in the base, the next write removes them. A newer instance still needs them.
			base:
				isNewer || dropped.length === 0
					? base
					: withMembers(base, [
							...broken,
							...members(this.textOf(now ?? stored)).filter(([key]) =>
								invalid.includes(key)
							)
						]),
			invalid: isInvalid ? dropped : undefined,
			isLocked: isNewer && isInvalid
		};
	}

	/** Migrates stored data of an older version, for a write. Data that cannot be migrated stays as it is. */
	migrated(text: string, version: number): Computed {
		const { members: stored, broken } = this.#unpacked(text);
		const made = this.#migrated(stored, version) ?? stored;
		const [base, mine] = [stored, made].map((data) =>
			withMembers(this.textOf(data), [...broken])
		);
		return { base: base ?? text, mine: mine ?? text };
	}

	/**
	 * Checks data that is about to be stored.
	 * @param text Its JSON text, which the schema must accept
	 * @throws DataError that names the path of a value that does not fit
	 */
	check(data: unknown, text: string): void {
		const { members: again, broken } = this.#unpacked(text);
		const [lost] = broken.keys();
		if (lost !== undefined) refuse({ path: pathOf([lost]), kind: UNREADABLE });
		const restores = this.#rich !== undefined;
		if (!this.#schema) {
			refuse(restores ? changedByJson(data, again, true) : changedByJson(data));
			return;
		}
		const { issues, value } = this.#validated(again) as Result & { value?: unknown };
		if (!issues) {
			refuse(changedByJson(data, value, restores));
			return;
		}
		const path = pathOf(keysOf(issues[0]));
		throw new DataError(
			'invalid_data',
			`session data must fit the schema: ${path === '' ? 'it does not' : `\`${path}\` does not`}`,
			{ path }
		);
	}

	/** Stored data with the values that it stands for, and the stored form of the members that cannot be read. */
	#unpacked(text: string): { members: Members; broken: Map<string, unknown> } {
		const stored = membersOf(text);
		return this.#rich ? this.#rich.unpacked(stored) : { members: stored, broken: new Map() };
	}

	/** The migrated data, as JSON preserves it. Undefined if it cannot be migrated. */
	#migrated(stored: Members, version: number): Members | undefined {
		if (!this.#migrate) return stored;
		const copy = (value: unknown): Members => this.#unpacked(this.textOf(value)).members;
		const data = copy(stored);
		let made: unknown;
		try {
			made = this.#migrate(data, version);
			// An arrow function returns what its last expression is, such as the `true` of `delete`.
			if (typeof made !== 'object' || made === null) return copy(data);
			if (!(made instanceof Promise)) return isPlain(made) ? copy(made) : undefined;
		} catch {
			return undefined;
		}
		made.catch(() => undefined);
		throw new ConfigError(
			'options',
			'`migrate` must not be async: its answer is needed at once'
		);
	}

	/** The data without the top-level members that the schema refuses. */
	#fitting(stored: Members): { data: SessionData; invalid: string[] } {
		const rest = { ...stored };
		const invalid: string[] = [];
		for (;;) {
			const result = this.#validated(rest);
			if (!result.issues) return { data: result.value as SessionData, invalid };
			const refused = new Set(result.issues.map((issue) => String(keysOf(issue)[0])));
			const keys = Object.keys(rest).filter((key) => refused.has(key));
			// Without one of these members, the rest may make no sense.
			if (keys.length === 0) return { data: this.#empty(), invalid: Object.keys(stored) };
			for (const key of keys) {
				Reflect.deleteProperty(rest, key);
				invalid.push(key);
			}
		}
	}

	/** The data of a new session. */
	#empty(): SessionData {
		const { issues, value } = this.#validated({}) as Result & { value?: unknown };
		if (issues)
			throw wrong(
				`must accept an empty object, because a new visitor has no data: make \`${pathOf(keysOf(issues[0]))}\` optional, or give it a default`
			);
		if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
		throw wrong('must describe an object');
	}

	#validated(value: unknown): Result {
		if (!this.#schema) return { value };
		let result: Result | Promise<Result>;
		try {
			result = this.#schema['~standard'].validate(value);
		} catch {
			// Its error may quote the value. It refuses the data as a whole.
			return { issues: [{ message: '' }] };
		}
		if (!(result instanceof Promise)) return result;
		result.catch(() => undefined);
		throw wrong('must not be async: `session.data` is needed at once');
	}
}

/** Whether an object has members, unlike a list or a `Map`. */
function isPlain(value: object): boolean {
	return Object.prototype.toString.call(value) === '[object Object]';
}

/** The keys that lead to the value that an issue is about. */
function keysOf(issue: NonNullable<Result['issues']>[number] | undefined): PropertyKey[] {
	return (issue?.path ?? []).map((part) => (typeof part === 'object' ? part.key : part));
}

/** The text of an object, with other members in addition. */
function withMembers(text: string, more: readonly (readonly [string, unknown])[]): string {
	return more.length === 0 ? text : jsonOf({ ...membersOf(text), ...Object.fromEntries(more) });
}

function members(text: string): [string, unknown][] {
	return Object.entries(membersOf(text));
}

/** The kind of a value that the transformer writes and cannot read. */
const UNREADABLE = 'a value that the transformer cannot read again';

function membersOf(text: string): Members {
	const value: unknown = JSON.parse(text);
	return typeof value === 'object' && value !== null ? (value as Members) : {};
}

function wrong(rule: string): ConfigError {
	return new ConfigError('options', `\`schema\` ${rule}`);
}
