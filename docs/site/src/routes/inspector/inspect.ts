// The package as the browser can load it: its core is the WebAssembly that servers run.
import '../../../../../packages/vestiary/dist/wasm/inline.js';
import { Core } from '../../../../../packages/vestiary/dist/generated/vestiary.js';
import {
	sessions,
	VestiaryError,
	type Store
} from '../../../../../packages/vestiary/dist/vestiary.js';
import { runtimeOf } from '../../../../../packages/vestiary/dist/runtime.js';

/** The reader's input, as it was pasted. */
export interface Given {
	readonly cookie: string;
	/** One secret in each line, the current one first. */
	readonly secrets: string;
	readonly name: string;
	readonly namespace: string;
	readonly record: string;
}

/** A fact about the cookie or the record. */
export interface Finding {
	readonly kind: 'good' | 'bad' | 'note';
	readonly text: string;
	readonly advice?: string;
}

/** Reports what is right and what is wrong. The rules are those of the core; only advice is given here. */
export async function inspect(given: Given): Promise<Finding[]> {
	const name = given.name.trim() || 'connect.sid';
	const values = valuesOf(given.cookie, name);
	if (!Array.isArray(values)) return [values];
	const secrets = given.secrets
		.split('\n')
		.map((line) => line.trim())
		.filter(Boolean);
	const namespace = given.namespace.trim() || undefined;
	const findings: Finding[] = [];
	for (const [n, value] of values.entries()) {
		if (values.length > 1)
			findings.push({
				kind: 'note',
				text: `Cookie ${n + 1} of ${values.length} with this name`
			});
		const shape = shapeOf(value);
		findings.push(shape);
		if (shape.kind === 'bad') continue;
		const signature = signatureOf({ value, name, secrets, namespace });
		findings.push(signature, ...inProduction(secrets));
		if (signature.kind !== 'good' || given.record.trim() === '') continue;
		findings.push(
			...(await recordOf({ value, name, secrets, namespace }, given.record.trim()))
		);
	}
	return findings;
}

/** The values of the cookie in a header, a pair or a value. */
function valuesOf(text: string, name: string): string[] | Finding {
	const header = text.trim().replace(/^(?:set-)?cookie:\s*/i, '');
	if (header === '') return { kind: 'note', text: 'Paste a cookie to begin.' };
	if (!header.includes('=')) return [header];
	const pairs = header.split(';').map((pair) => pair.trim().split(/=(.*)/s));
	const found = pairs.filter(([one]) => one === name).map(([, value = '']) => value);
	if (found.length > 0) return found;
	const others = pairs.map(([one]) => one).join(', ');
	return {
		kind: 'bad',
		text: `No cookie has the name ${name}, but: ${others}`,
		advice: 'Write the name of the option `name` into the field.'
	};
}

/** The form of the value, which needs no secret. */
function shapeOf(value: string): Finding {
	const decoded = value.includes('%') ? decodedOf(value) : value;
	const [id = '', signature = ''] = decoded.replace(/^s:/, '').split('.');
	if (value.startsWith('eyJ'))
		return { kind: 'bad', text: 'This is a JSON Web Token, and no cookie of Vestiary.' };
	if (value.startsWith('"'))
		return { kind: 'bad', text: 'The value is in quotes: paste it without.' };
	if (decoded.includes('%'))
		return {
			kind: 'bad',
			text: 'The value is percent-encoded twice.',
			advice: 'A proxy, or code that copies the cookie, encodes it again: copy it as it is.'
		};
	if (signature === '')
		return {
			kind: 'bad',
			text: 'There is no signature: the value has no point.',
			advice: 'It may be the ID alone, as a key in the store, or a cookie that was cut off.'
		};
	const format = decoded.startsWith('s:') ? 'express-session' : 'svelte-kit-sessions';
	const shown = `${id.slice(0, 6)}…`;
	const user = id.includes('~') ? ', of a user who is logged in' : '';
	return { kind: 'good', text: `The ID begins with ${shown}${user}. Cookie format: ${format}.` };
}

function decodedOf(value: string): string {
	try {
		return decodeURIComponent(value);
	} catch {
		return value;
	}
}

interface Signed {
	readonly value: string;
	readonly name: string;
	readonly secrets: readonly string[];
	readonly namespace: string | undefined;
}

/** Which secret has signed the value. */
function signatureOf({ value, name, secrets, namespace }: Signed): Finding {
	if (secrets.length === 0)
		return { kind: 'note', text: 'The signature was not checked: there is no secret.' };
	const signed = (secret: string, namespace: string | undefined): boolean => {
		const { core } = runtimeOf({ secret, name, ...(namespace && { namespace }) });
		return (core.readCookies(`${name}=${value}`)?.length ?? 0) > 0;
	};
	try {
		for (const [n, secret] of secrets.entries()) {
			const which = n === 0 ? 'the current one' : `number ${n + 1}, an older one`;
			if (signed(secret, namespace))
				return { kind: 'good', text: `The signature is valid. The secret is ${which}.` };
			if (namespace && signed(secret, undefined))
				return {
					kind: 'bad',
					text: 'It was signed by this secret, but without a namespace.',
					advice: 'The services must have the same `namespace`.'
				};
		}
	} catch (error) {
		return failure(error);
	}
	return {
		kind: 'bad',
		text: `The signature is not valid with ${secrets.length === 1 ? 'the secret' : `any of the ${secrets.length} secrets`}.`,
		advice: 'The cookie was signed by another secret or for another namespace, was changed, or comes from a test server.'
	};
}

/** A note if no app starts in production with these secrets. */
function inProduction(secrets: readonly string[]): Finding[] {
	if (secrets.length === 0) return [];
	try {
		new Core(JSON.stringify({ secrets, production: true })).free();
		return [];
	} catch (thrown) {
		const [, text = ''] = String(thrown).split('\n');
		return [{ kind: 'note', text }];
	}
}

/** The session that a request with the cookie would find, if the store had this record. */
async function recordOf(
	{ value, name, secrets, namespace }: Signed,
	record: string
): Promise<Finding[]> {
	const findings: Finding[] = [];
	const encrypt = !record.startsWith('{');
	const store = storeOf(record);
	try {
		const session = await sessions({
			secret: [...secrets],
			name,
			store,
			encrypt: encrypt ? true : undefined,
			...(namespace && { namespace })
		} as Parameters<typeof sessions>[0]).read(`${name}=${value}`);
		if (!session) {
			findings.push({
				kind: 'bad',
				text: 'A request with this cookie has no session.',
				advice: whyNot(record, encrypt)
			});
			return findings;
		}
		findings.push({
			kind: 'good',
			text: `A request with this cookie has a session${session.userId === undefined ? ', of an anonymous visitor' : `, of the user ${session.userId}`}.`,
			advice: `Keys of its data: ${Object.keys(session.data).join(', ') || 'none'}. Name for logs: ${session.logId ?? 'none'}.`
		});
		if (session.userId !== undefined)
			findings.push({
				kind: 'note',
				text: "Whether the user has been logged out is in the user's session list, which only the store knows.",
				advice: '`vestiary inspect` with the store looks there, too.'
			});
	} catch (error) {
		findings.push(failure(error));
	}
	return findings;
}

/** A guess, after the core has refused the record. */
function whyNot(record: string, encrypted: boolean): string {
	if (encrypted)
		return 'The record is encrypted: for another ID, by another secret, or it is no record of Vestiary.';
	try {
		const { meta, cookie } = JSON.parse(record) as {
			meta?: { next?: unknown; idle?: number; absolute?: number };
			cookie?: { expires?: string };
		};
		const passed = (at: number | undefined): boolean => at !== undefined && at < Date.now();
		if (meta?.next !== undefined)
			return 'It is a tombstone: the session has another ID now, or has ended.';
		if (passed(meta?.absolute)) return 'Its absolute deadline has passed.';
		if (passed(meta?.idle)) return 'Its idle deadline has passed.';
		if (cookie?.expires && passed(Date.parse(cookie.expires))) return 'Its cookie has expired.';
		return 'The record is a tombstone, has expired, or belongs to another ID.';
	} catch {
		return 'The record is no JSON.';
	}
}

/** A store that has nothing but this record, and a list of the user with its session. */
function storeOf(record: string): Store {
	const handle = /"handle"\s*:\s*"([^"]+)"/.exec(record)?.[1] ?? '';
	const now = Date.now();
	const entry = { created: now - 1_000, seen: now, until: now + 86_400_000 };
	const list = JSON.stringify({ v: 'AAAAAAAAAAAAAAAA', sessions: { [handle]: entry } });
	const read = async (key: string): Promise<string | null> =>
		key.includes('user:') ? (handle === '' ? null : list) : record;
	const kept = async (): Promise<never> => {
		throw new Error('the inspector writes nothing');
	};
	return {
		get: async (key: string) => JSON.parse((await read(key)) ?? 'null'),
		set: kept,
		destroy: kept,
		touch: kept,
		atomic: { read, create: kept, replace: kept, touch: kept, remove: kept }
	} as unknown as Store;
}

function failure(error: unknown): Finding {
	if (error instanceof VestiaryError) return { kind: 'bad', text: error.message };
	return { kind: 'bad', text: `It cannot be checked: ${String(error)}` };
}
