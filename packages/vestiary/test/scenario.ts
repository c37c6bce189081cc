/** `vectors/scenarios.json`, as both products read it. `vectors/README.md` explains the language. */

import type { Device, DeviceBoundOptions, LoginDevice } from '../src/vestiary.js';

/** Options of the sessions of one instance, as both products have them. */
export interface Options {
	absoluteTimeout?: number;
	/** Default: true. The Rust crates know nothing else, so such a scenario stores all its changes itself. */
	autoSave?: boolean;
	/** Seconds that the clock of the instance's server is ahead of the store's. */
	clockAhead?: number;
	deviceBound?: boolean | DeviceBoundOptions;
	encrypt?: boolean | 'migrate';
	format?: 'svelte-kit-sessions' | 'express-session';
	idleTimeout?: number;
	maxAge?: number;
	maxBytes?: number;
	namespace?: string;
	onReuse?: 'report' | 'revoke';
	onStoreError?: 'throw' | 'anonymous';
	/** Whether all requests of the instance are passive. */
	passive?: boolean;
	renewAfter?: number;
	renewGrace?: number;
	rolling?: boolean;
	/** Names of secrets, the one that signs first. */
	secrets?: string[];
	sessionsPerUser?: number | { most?: number; whenFull?: 'evict' | 'refuse' };
	touchAfter?: number;
	version?: number;
	/** The migration to this version: new names of members, by their old names. */
	renames?: Record<string, string>;
}

/** A call of the application. `gives` is `done`, `gone` if no session is stored after it, or the code of an error. */
export type Operation =
	/** The session's data and its user; null if it has none. */
	| { do: 'read'; data?: object; user?: string | null }
	/** Whether the session is still valid: `yes`, `no`, or the code of an error. Default: `yes`. */
	| { do: 'isAlive'; gives?: string }
	/** Changes the data, and stores nothing yet. `size` is the length of a text. */
	| { do: 'set'; key: string; value?: unknown; size?: number; gives?: string }
	| { do: 'remove'; key: string; gives?: string }
	| { do: 'save' | 'touch' | 'renew' | 'destroy'; gives?: string }
	/** Adds to numbers, and puts values; `inside` is called by the function of the update. */
	| {
			do: 'update';
			add?: Record<string, number>;
			put?: Record<string, unknown>;
			inside?: Operation;
			gives?: string;
	  }
	/** `provenAgo`: the seconds since the visitor has proved who it is. */
	| {
			do: 'login';
			user: string;
			keep?: string[];
			label?: string;
			device?: LoginDevice;
			maxAge?: number | null;
			provenAgo?: number;
			/** The name of the session at the provider, which knows the user by the same name. Default: no provider. */
			sid?: string;
			/** The access token that the provider has given. Default: no tokens. */
			tokens?: string;
			gives?: string;
	  }
	/** The access token that the session has; null if there is none. */
	| { do: 'tokens'; access: string | null }
	/** A logout by the provider, of this `sid` or this `sub`, with a token of this ID. */
	| { do: 'loggedOut'; sid?: string; sub?: string; token: string; gives?: string }
	/** The user proves who they are: `yes`, `no`, or the code of an error. Default: `yes`. */
	| { do: 'confirm'; gives?: string }
	/** Whether the user has done so within this number of seconds. Default: `yes`. */
	| { do: 'isFresh'; within: number; gives?: string }
	/** Whether the session is bound to a device. Default: `yes`. */
	| { do: 'isBound'; gives?: string }
	/** The seconds until the session and its idle deadline end; null if it has no end. Default: null. */
	| { do: 'ends'; expires?: number | null; idle?: number | null }
	/** Ends the session of a user that has this label. */
	| { do: 'revoke'; user: string; label: string; gives?: string }
	| { do: 'revokeOthers' | 'revokeAll'; user: string; gives?: string }
	/** Puts a value into a slot for some seconds. */
	| { do: 'put'; key: string; value: unknown; for: number; gives?: string }
	/** Takes the value out of a slot. `value` is what it has; null if there is none. */
	| { do: 'take'; key: string; value?: unknown; gives?: string }
	/** The labels of a user's sessions, the one that was used last first. */
	| { do: 'list'; user: string; labels: (string | null)[] }
	/** The devices of a user's sessions, in the same order; null where none is known. */
	| { do: 'devices'; user: string; devices: (Device | null)[] }
	/** Whether a user's sessions are bound to devices, in the same order. */
	| { do: 'boundList'; user: string; bound: boolean[] }
	/** Calls all of these before the first one has answered. */
	| { do: 'together'; ops: Operation[] };

/** The answer to a request, and everything that happened meanwhile. */
export interface Answered {
	/** Default: `none`. */
	cookie?: string;
	/** The attributes of the cookie that is set or removed, as its header has them. */
	attributes?: string;
	/** Whether the response offers to bind the session to the browser's device. Default: false. */
	offers?: boolean;
	/** The events of the step, in their order. Default: none. */
	events?: string[];
	/** The error that the request fails with. */
	fails?: string;
	/** The number of calls to the store, by operation. Only the named ones are counted. */
	asked?: Partial<Record<StoreOperation, number>>;
}

export type StoreOperation = 'read' | 'create' | 'replace' | 'touch' | 'remove';

/**
 * The kinds of faults: does nothing and fails; loses the reply to the next call; refuses; is full; does not reply
 * before the next step of this kind.
 */
export type Fault = 'fails' | 'loses' | 'refuses' | 'full' | 'waits';

/**
 * The proof that a browser sends: its own, which is the default, and of a new key if it registers; none; one that another
 * key has signed; or its last one.
 */
export type ProofKind = 'own' | 'none' | 'forged' | 'again';

export type Step =
	/** A whole request. */
	| ({ step: 'visit'; browser: string; at?: string; ops?: Operation[] } & Answered)
	/** A request that is answered later. It has looked at its session. */
	| {
			step: 'begin';
			request: string;
			browser: string;
			at?: string;
			ops?: Operation[];
			events?: string[];
			asked?: Answered['asked'];
	  }
	/** The next operations of a request that has begun. */
	| {
			step: 'in';
			request: string;
			ops: Operation[];
			events?: string[];
			asked?: Answered['asked'];
	  }
	| ({ step: 'end'; request: string; ops?: Operation[] } & Answered)
	/** Operations on the session of a request whose response has left. */
	| { step: 'after'; request: string; ops: Operation[]; events?: string[] }
	/** Reads the session of a browser's cookie without a request. `finds` is null if there is none. */
	| {
			step: 'open';
			socket: string;
			browser: string;
			at?: string;
			finds?: { data?: object; user?: string | null } | null;
			fails?: string;
			events?: string[];
			asked?: Answered['asked'];
	  }
	/** Whether the session that a socket has opened is still valid: `yes`, `no`, or the code of an error. */
	| {
			step: 'isAlive';
			socket: string;
			gives: string;
			events?: string[];
			asked?: Answered['asked'];
	  }
	/** A browser registers the key of its device, or proves that it has it. */
	| ({
			step: 'prove';
			browser: string;
			at?: string;
			as: 'registers' | 'refreshes';
			with?: ProofKind;
			gives: string;
	  } & Pick<Answered, 'cookie' | 'events' | 'asked'>)
	/** Lets seconds pass. */
	| { step: 'pass'; seconds: number }
	/**
	 * Puts the cookie of a session into a browser; `forged` is one that no secret has signed. `bound` is the browser whose
	 * bound cookie it gets, too.
	 */
	| { step: 'jar'; browser: string; holds: string | null; bound?: string }
	/** The faults of the store from now on. */
	| ({ step: 'store' } & Partial<Record<StoreOperation, Fault>>)
	/** Another text in place of a session's record, its data, or the cookie attributes that it has of its own. */
	| { step: 'rewrite'; session: string; text?: string; data?: string; own?: object }
	/** Another text in place of the only user's session list. */
	| { step: 'rewriteList'; text: string }
	/** The sessions that the store has, by name; and the texts of the data of some. */
	| {
			step: 'stored';
			sessions: Record<
				string,
				{ data?: object; text?: string; user?: string | null; version?: number | null }
			>;
	  }
	/** Options that are refused, with the code of the error. */
	| { step: 'refused'; options: Options; code: string }
	| { step: 'repeat'; times: number; steps: Step[] };

export interface Scenario {
	title: string;
	options?: Options;
	/** Options by instance. A step without an instance uses the first one. Default: one instance, `here`. */
	instances?: Record<string, Options>;
	steps: Step[];
}

const OPTIONS = [
	'absoluteTimeout',
	'autoSave',
	'clockAhead',
	'deviceBound',
	'encrypt',
	'format',
	'idleTimeout',
	'maxAge',
	'maxBytes',
	'namespace',
	'onReuse',
	'onStoreError',
	'passive',
	'renewAfter',
	'renewGrace',
	'rolling',
	'secrets',
	'sessionsPerUser',
	'touchAfter',
	'version',
	'renames'
];

const OPERATIONS: Record<Operation['do'], string[]> = {
	read: ['data', 'user'],
	isAlive: ['gives'],
	set: ['key', 'value', 'size', 'gives'],
	remove: ['key', 'gives'],
	save: ['gives'],
	touch: ['gives'],
	renew: ['gives'],
	destroy: ['gives'],
	update: ['add', 'put', 'inside', 'gives'],
	login: ['user', 'keep', 'label', 'device', 'maxAge', 'provenAgo', 'sid', 'tokens', 'gives'],
	tokens: ['access'],
	loggedOut: ['sid', 'sub', 'token', 'gives'],
	confirm: ['gives'],
	isFresh: ['within', 'gives'],
	isBound: ['gives'],
	ends: ['expires', 'idle'],
	revoke: ['user', 'label', 'gives'],
	revokeOthers: ['user', 'gives'],
	revokeAll: ['user', 'gives'],
	put: ['key', 'value', 'for', 'gives'],
	take: ['key', 'value', 'gives'],
	list: ['user', 'labels'],
	devices: ['user', 'devices'],
	boundList: ['user', 'bound'],
	together: ['ops']
};

const ANSWERED = ['cookie', 'attributes', 'offers', 'events', 'fails', 'asked'];

export const STORE_OPERATIONS: StoreOperation[] = ['read', 'create', 'replace', 'touch', 'remove'];

const STEPS: Record<Step['step'], string[]> = {
	visit: ['browser', 'at', 'ops', ...ANSWERED],
	begin: ['request', 'browser', 'at', 'ops', 'events', 'asked'],
	in: ['request', 'ops', 'events', 'asked'],
	end: ['request', 'ops', ...ANSWERED],
	after: ['request', 'ops', 'events'],
	open: ['socket', 'browser', 'at', 'finds', 'fails', 'events', 'asked'],
	isAlive: ['socket', 'gives', 'events', 'asked'],
	prove: ['browser', 'at', 'as', 'with', 'gives', 'cookie', 'events', 'asked'],
	pass: ['seconds'],
	jar: ['browser', 'holds', 'bound'],
	store: STORE_OPERATIONS,
	rewrite: ['session', 'text', 'data', 'own'],
	rewriteList: ['text'],
	stored: ['sessions'],
	refused: ['options', 'code'],
	repeat: ['times', 'steps']
};

/** Rejects a scenario that no player could play, so that a misspelt word is an error. */
export function check({ title, options = {}, instances = {}, steps, ...others }: Scenario): void {
	if (typeof title !== 'string' || !Array.isArray(steps)) throw new Error('no scenario');
	checkKeys(title, others, []);
	for (const one of [options, ...Object.values(instances)]) checkKeys('options', one, OPTIONS);
	steps.forEach(checkStep);
}

function checkStep(step: Step): void {
	checkNamed('step', step.step, step, STEPS);
	if ('asked' in step && step.asked) checkKeys('asked', step.asked, STORE_OPERATIONS);
	if ('ops' in step) (step.ops ?? []).forEach(checkOperation);
	if (step.step === 'refused') checkKeys('options', step.options, OPTIONS);
	if (step.step === 'repeat') step.steps.forEach(checkStep);
	if (step.step === 'stored')
		for (const one of Object.values(step.sessions))
			checkKeys('a stored session', one, ['data', 'text', 'user', 'version']);
}

function checkOperation(operation: Operation): void {
	checkNamed('do', operation.do, operation, OPERATIONS);
	if (operation.do === 'together') operation.ops.forEach(checkOperation);
	if (operation.do === 'update' && operation.inside) checkOperation(operation.inside);
}

function checkNamed(
	by: string,
	name: string,
	found: object,
	known: Record<string, string[]>
): void {
	if (!Object.hasOwn(known, name)) throw new Error(`no \`${by}\` is called \`${name}\``);
	checkKeys(name, found, [by, ...(known[name] ?? [])]);
}

function checkKeys(where: string, found: object, known: string[]): void {
	const other = Object.keys(found).find((key) => !known.includes(key));
	if (other !== undefined) throw new Error(`\`${where}\` has no \`${other}\``);
}
