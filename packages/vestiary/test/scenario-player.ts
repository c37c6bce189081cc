import { expect, vi } from 'vitest';

import {
	ConfigError,
	sessions,
	sveltekitSessionHandle,
	VestiaryError,
	type ReadOnlySession,
	type Session,
	type SessionEvent,
	type SessionHandle,
	type SveltekitSessionConfig
} from '../src/index.js';
import { testEvent } from './event.js';
import { Devices } from './scenario-devices.js';
import { answers, expected } from './scenario-operations.js';
import type { Answered, Operation, Options, Scenario, Step } from './scenario.js';
import { Shelf } from './scenario-store.js';

interface StoredRecord {
	v: string;
	cookie: object;
	data: object;
	meta: { user?: string; next?: string; version?: number };
}

/** An instance of the application: a handle, and a store object, that no other instance has. */
interface Instance {
	options: SveltekitSessionConfig;
	handle: SessionHandle;
	/** Milliseconds. */
	ahead: number;
}

/** A request in progress: runs operations that it receives, until its end. */
interface Running {
	browser: string;
	instance: Instance;
	tell: (ops: Operation[]) => Promise<unknown[]>;
	/** Lets it answer. */
	end: () => void;
	/** Undefined until it has looked at its session. */
	session: () => Session | undefined;
	response: Promise<Response>;
}

/** Plays a scenario through the public interface of the package. */
export class Player {
	readonly #shelf = new Shelf(() => this.#now);
	readonly #instances = new Map<string, Instance>();
	readonly #requests = new Map<string, Running>();
	/** Requests whose response has left. */
	readonly #left = new Map<string, Running>();
	/** Sessions that were read without a request, and how to set the clock of their instances. */
	readonly #sockets = new Map<string, { session: ReadOnlySession; instance: Instance }>();
	/** The cookies of the browsers. */
	readonly #jars = new Map<string, string>();
	readonly #devices = new Devices();
	/** The last cookie of each session, by its name in the scenario. */
	readonly #cookies = new Map<string, string>();
	/** The IDs of sessions by their names. */
	readonly #ids = new Map<string, string>();
	readonly #events: string[] = [];
	#now = Date.now();

	constructor({ options = {}, instances = { here: {} } }: Scenario) {
		for (const [name, own] of Object.entries(instances)) {
			const { clockAhead = 0, ...all } = { ...options, ...own };
			const config = { ...configOf(all), store: this.#shelf.store(), onEvent: this.#note };
			const handle = sveltekitSessionHandle(config);
			this.#instances.set(name, { options: config, handle, ahead: clockAhead * 1_000 });
		}
	}

	async play(steps: Step[]): Promise<void> {
		for (const [i, step] of steps.entries()) {
			const where = `step ${i + 1}: ${JSON.stringify(step)}`;
			this.#shelf.asked = {};
			await this.#step(step, where);
			// Events of the background are reported with the next request.
			const asks = 'browser' in step || 'request' in step || 'socket' in step;
			if (!asks || step.step === 'jar') continue;
			const { events = [], asked } = step as Answered;
			expect(this.#events.splice(0), `events of ${where}`).toEqual(events);
			for (const [operation, times] of Object.entries(asked ?? {}))
				expect(
					{ [operation]: 0, ...this.#shelf.asked },
					`asked in ${where}`
				).toHaveProperty(operation, times);
		}
	}

	/** Refuses a scenario that leaves a request unanswered, or an event that no step expects. */
	end(): void {
		expect([...this.#requests.keys()], 'requests that have not ended').toEqual([]);
		expect(this.#events, 'events after the last step').toEqual([]);
	}

	async #step(step: Step, where: string): Promise<void> {
		switch (step.step) {
			case 'visit': {
				const running = this.#begin(step.browser, step.at);
				await this.#answer(running, step.ops, step, where);
				return;
			}
			case 'begin': {
				const running = this.#begin(step.browser, step.at);
				this.#requests.set(step.request, running);
				await this.#perform(running, step.ops ?? [], where);
				return;
			}
			case 'in':
				await this.#perform(this.#request(step.request), step.ops, where);
				return;
			case 'end': {
				const running = this.#request(step.request);
				this.#requests.delete(step.request);
				await this.#answer(running, step.ops, step, where);
				this.#left.set(step.request, running);
				return;
			}
			case 'after': {
				const running = this.#left.get(step.request);
				const session = running?.session();
				if (!running || !session)
					throw new Error(`no response of ${step.request} has left`);
				this.#setClock(running.instance);
				await this.#compare(
					step.ops,
					await answers(() => session, running.instance.options, step.ops),
					where
				);
				return;
			}
			case 'open':
				await this.#open(step, where);
				return;
			case 'isAlive': {
				const socket = this.#sockets.get(step.socket);
				if (!socket) throw new Error(`${step.socket} has no session`);
				this.#setClock(socket.instance);
				const alive = socket.session.isAlive().then((is) => (is ? 'yes' : 'no'));
				expect(await alive.catch(codeOf), where).toBe(step.gives);
				return;
			}
			case 'prove': {
				const { browser, gives } = step;
				const { handle } = this.#instance(step.at);
				const event = await this.#devices.request(step, this.#jars.get(browser));
				const response = await handle({ event, resolve: () => new Response() });
				const rest = await this.#devices.answered(browser, response, gives, where);
				this.#receive(browser, rest, step, where);
				return;
			}
			case 'pass':
				this.#now += step.seconds * 1_000;
				return;
			case 'jar': {
				const { browser, holds } = step;
				this.#devices.copy(browser, step.bound);
				if (holds === null) this.#jars.delete(browser);
				else this.#jars.set(browser, holds === 'forged' ? FORGED : this.#cookie(holds));
				return;
			}
			case 'store': {
				this.#shelf.fail(step);
				return;
			}
			case 'rewrite':
				this.#rewrite(step);
				return;
			case 'rewriteList': {
				const lists = [...this.#shelf.entries].filter(([key]) => key.startsWith('user:'));
				expect(lists.length, where).toBe(1);
				for (const [, entry] of lists) entry.text = step.text;
				return;
			}
			case 'stored':
				this.#checkStored(step.sessions, where);
				return;
			case 'refused': {
				const config = { ...configOf(step.options), store: this.#shelf.store() };
				expect(() => sveltekitSessionHandle(config), where).toThrow(
					expect.objectContaining({ code: step.code }) as ConfigError
				);
				return;
			}
			case 'repeat':
				for (let i = 0; i < step.times; i++) await this.play(step.steps);
		}
	}

	readonly #note = (event: SessionEvent): void => {
		const detail =
			'reason' in event
				? event.reason
				: 'code' in event
					? event.code
					: 'error' in event
						? codeOf(event.error)
						: 'revoked' in event && event.revoked
							? 'revoked'
							: undefined;
		this.#events.push(detail === undefined ? event.type : `${event.type}:${detail}`);
	};

	/** Reads a session without a request. */
	async #open(step: Extract<Step, { step: 'open' }>, where: string): Promise<void> {
		const instance = this.#instance(step.at);
		const cookies = this.#devices.header(step.browser, this.#jars.get(step.browser));
		const header = cookies && `theme=dark; ${cookies}`;
		let [found, failed]: [ReadOnlySession?, string?] = [];
		try {
			found = await sessions(instance.options).read(header);
		} catch (error) {
			failed = codeOf(error as Error);
		}
		expect(failed, `error of ${where}`).toBe(step.fails);
		const { data = {}, user = null } = step.finds ?? {};
		expect(found && { data: found.data, user: found.userId ?? null }, where).toEqual(
			step.finds ? { data, user } : undefined
		);
		if (found) this.#sockets.set(step.socket, { session: found, instance });
	}

	/** An instance, with its clock. */
	#instance(at: string | undefined): Instance {
		const name = at ?? [...this.#instances.keys()][0] ?? '';
		const instance = this.#instances.get(name);
		if (!instance) throw new Error(`there is no instance \`${name}\``);
		this.#setClock(instance);
		return instance;
	}

	#begin(browser: string, at: string | undefined): Running {
		const instance = this.#instance(at);
		const { event } = testEvent(this.#devices.header(browser, this.#jars.get(browser)));
		const { handle } = instance;
		const mail = new Mailbox();
		let last: Session | undefined;
		const current = (): Session => (last = event.locals.session);
		const response = handle({
			event,
			resolve: async () => {
				current();
				for await (const { ops, answer } of mail.received())
					answer(answers(current, instance.options, ops));
				current();
				return new Response();
			}
		});
		// A step expects it, or fails.
		response.catch(() => undefined);
		// It can fail before it receives operations.
		const tell = async (ops: Operation[]): Promise<unknown[]> =>
			Promise.race([mail.send(ops), response.then(() => [])]);
		const end = (): void => {
			mail.close();
		};
		return { browser, instance, tell, end, session: () => last, response };
	}

	#request(name: string): Running {
		const running = this.#requests.get(name);
		if (!running) throw new Error(`no request \`${name}\` has begun`);
		return running;
	}

	async #perform(running: Running, ops: Operation[], where: string): Promise<void> {
		this.#setClock(running.instance);
		await this.#compare(ops, await running.tell(ops), where);
	}

	async #answer(
		running: Running,
		ops: Operation[] = [],
		answered: Answered,
		where: string
	): Promise<void> {
		this.#setClock(running.instance);
		let failed: string | undefined;
		let response = new Response();
		try {
			await this.#compare(ops, await running.tell(ops), where);
			running.end();
			response = await running.response;
		} catch (error) {
			if (!(error instanceof VestiaryError)) throw error;
			failed = error.code;
		}
		expect(failed, `error of ${where}`).toBe(answered.fails);
		this.#receive(running.browser, response, answered, where);
	}

	async #compare(ops: Operation[], given: unknown[], where: string): Promise<void> {
		expect(given, `answers of ${where}`).toEqual(ops.map(expected));
	}

	/** Takes the cookie of a response into the browser. */
	#receive(
		browser: string,
		response: Response,
		{ cookie: expectation = 'none', attributes, offers = false }: Answered,
		where: string
	): void {
		this.#devices.offered(browser, response, offers, where);
		const headers = response.headers.getSetCookie();
		expect(headers.length, `cookies of ${where}`).toBeLessThan(2);
		const [header] = headers;
		if (header === undefined) {
			expect('none', `cookie of ${where}`).toBe(expectation);
			return;
		}
		expect(response.headers.get('cache-control'), where).toContain('no-store');
		expect(response.headers.get('vary'), where).toContain('Cookie');
		const [pair = '', ...rest] = header.split('; ');
		if (attributes !== undefined)
			expect(rest.join('; '), `attributes of ${where}`).toBe(attributes);
		if (rest.includes('Max-Age=0')) {
			expect('removes', `cookie of ${where}`).toBe(expectation);
			this.#jars.delete(browser);
			return;
		}
		const value = pair.slice('sid='.length);
		const id = idIn(value);
		this.#jars.set(browser, value);
		expect(`sets ${this.#nameOf(id, expectation)}`, `cookie of ${where}`).toBe(expectation);
		this.#cookies.set(expectation.slice('sets '.length), value);
		// A cookie without a record would log its visitor out.
		const { text } = this.#shelf.entries.get(this.#keyOf(id)) ?? {};
		expect(text, `the record of the cookie of ${where}`).toBeDefined();
		expect(text, `the record of the cookie of ${where}`).not.toContain('"next":');
	}

	/** The scenario's name for an ID. One that is seen for the first time gets the name that is expected. */
	#nameOf(id: string, expectation: string): string {
		const known = [...this.#ids].find(([, other]) => other === id)?.[0];
		if (known !== undefined) return known;
		const name = expectation.startsWith('sets ') ? expectation.slice('sets '.length) : '';
		if (name === '*') return name;
		if (name === '' || this.#ids.has(name)) return 'another session';
		this.#ids.set(name, id);
		return name;
	}

	#keyOf(id: string): string {
		const { entries } = this.#shelf;
		return entries.has(id)
			? id
			: ([...entries.keys()].find((key) => key.endsWith(`:${id}`)) ?? '');
	}

	#idOf(session: string): string {
		const id = this.#ids.get(session);
		if (id === undefined) throw new Error(`no cookie was set for a session \`${session}\``);
		return id;
	}

	#cookie(session: string): string {
		const cookie = this.#cookies.get(session);
		if (cookie === undefined) throw new Error(`no cookie was set for a session \`${session}\``);
		return cookie;
	}

	#rewrite({ session, text, data, own }: Extract<Step, { step: 'rewrite' }>): void {
		const entry = this.#shelf.entries.get(this.#keyOf(this.#idOf(session)));
		if (!entry) throw new Error(`there is no record of \`${session}\``);
		if (text !== undefined) {
			entry.text = text;
			return;
		}
		const record = JSON.parse(entry.text) as StoredRecord;
		const meta = { ...record.meta, ...(own && { cookie: own }) };
		const members = [
			`"v":${JSON.stringify(record.v)}`,
			`"cookie":${JSON.stringify(record.cookie)}`,
			`"data":${data ?? JSON.stringify(record.data)}`,
			`"meta":${JSON.stringify(meta)}`
		];
		entry.text = `{${members.join(',')}}`;
	}

	#checkStored(expectations: Extract<Step, { step: 'stored' }>['sessions'], where: string): void {
		const found: Record<string, { text: string; record: StoredRecord }> = {};
		for (const [key] of this.#shelf.entries) {
			const text = this.#shelf.text(key);
			if (text === undefined || key.startsWith('user:')) continue;
			const record = JSON.parse(text) as StoredRecord;
			if (record.meta.next !== undefined) continue;
			const name = [...this.#ids].find(([, id]) => key === id)?.[0];
			found[name ?? `an unknown record ${text}`] = { text, record };
		}
		expect(Object.keys(found).sort(), `sessions of ${where}`).toEqual(
			Object.keys(expectations).sort()
		);
		for (const [name, { data, text, user, version }] of Object.entries(expectations)) {
			const stored = found[name];
			if (data) expect(stored?.record.data, `data of ${name}, ${where}`).toEqual(data);
			if (text !== undefined) expect(stored?.text, where).toContain(`"data":${text},"meta"`);
			if (user !== undefined) expect(stored?.record.meta.user ?? null, where).toBe(user);
			if (version !== undefined)
				expect(stored?.record.meta.version ?? null, where).toBe(version);
		}
	}

	#setClock({ ahead }: Instance): void {
		vi.setSystemTime(this.#now + ahead);
	}
}

const FORGED = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

function idIn(value: string): string {
	return decodeURIComponent(value).replace(/^s:/, '').split('.')[0] ?? '';
}

function configOf(given: Options): SveltekitSessionConfig {
	const { maxAge, passive = false, secrets = ['one'], renames, ...options } = given;
	const migrate = (data: Record<string, unknown>): object =>
		Object.fromEntries(
			Object.entries(data).map(([name, value]) => [renames?.[name] ?? name, value])
		);
	return {
		name: 'sid',
		secret: secrets.map((name) => `the secret of the scenarios that is called ${name}`),
		autoSave: true,
		passive: () => passive,
		...(maxAge !== undefined && { cookie: { maxAge } }),
		...(renames && { migrate }),
		...options
	};
}

function codeOf(error: Error): string {
	return error instanceof VestiaryError ? error.code : error.name;
}

interface Letter {
	ops: Operation[];
	answer: (given: Promise<unknown[]>) => void;
}

/** Hands operations to a request that waits for them. */
class Mailbox {
	readonly #waiting: Letter[] = [];
	#closed = false;
	#wake: () => void = () => undefined;

	async send(ops: Operation[]): Promise<unknown[]> {
		return new Promise((resolve) => {
			this.#waiting.push({ ops, answer: resolve });
			this.#wake();
		});
	}

	/** No more letters come. */
	close(): void {
		this.#closed = true;
		this.#wake();
	}

	async *received(): AsyncGenerator<Letter> {
		for (;;) {
			const next = this.#waiting.shift();
			if (next) yield next;
			else if (this.#closed) return;
			else await new Promise<void>((resolve) => (this.#wake = resolve));
		}
	}
}
