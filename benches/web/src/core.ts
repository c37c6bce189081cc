/** The core inside the package, which it does not export: only these benchmarks reach in there. */
import 'vestiary';

/** The functions of a core that are measured. */
export interface Core {
	readCookies: (header: string | null) => string[] | undefined;
	sign: (id: string) => string;
	/** The record of a new session with these data, as a store gets it: an operation until its question to the store. */
	encode: (id: string, data: string) => string;
	/** The data of a record, as a store has it: an operation that opens it. */
	decode: (id: string, record: string) => unknown;
}

interface Running {
	/** The question to the store, with a NUL between its parts. */
	readonly asked: string;
	free(): void;
}

/** The end of an operation: the number of its next effect while there is one. */
type Ended = number | { readonly texts: string[] };

interface Bindings {
	readCookies: Core['readCookies'];
	sign: Core['sign'];
	begin(task: number, given: { flags: number; at: number; texts: string[] }): Running;
	answered(running: Running, facts: number, answer: number, text?: string): Ended;
}

interface CoreModule {
	Core: new (options: {
		cookie: object;
		secrets: string[];
		sealSecrets: string[] | undefined;
		production: boolean;
	}) => Bindings;
}

interface Generated {
	Task: Record<'Open' | 'Save', number>;
	Answer: Record<'Begin' | 'NewId' | 'Text', number>;
	Given: Record<'Changes' | 'Present', number>;
}

export async function loadCore(secret: string, encrypts: boolean): Promise<Core> {
	const entry = import.meta.resolve('vestiary');
	const { Core } = (await import(new URL('core.js', entry).href)) as CoreModule;
	const { Task, Answer, Given } = (await import(
		new URL('generated/vestiary.js', entry).href
	)) as Generated;
	const core = new Core({
		cookie: {},
		secrets: [secret],
		sealSecrets: encrypts ? [secret] : undefined,
		production: true
	});
	return {
		readCookies: (header) => core.readCookies(header),
		sign: (id) => core.sign(id),
		encode: (id, data) => {
			const texts = [...NEW, '{}', data, ''];
			const running = core.begin(Task.Save, { flags: Given.Changes, at: 0, texts });
			core.answered(running, 0, Answer.Begin);
			core.answered(running, 0, Answer.NewId, id);
			const [, text = ''] = running.asked.split('\0');
			running.free();
			return text;
		},
		decode: (id, record) => {
			const texts = [...NEW, id];
			const running = core.begin(Task.Open, { flags: Given.Present, at: 0, texts });
			core.answered(running, 0, Answer.Begin);
			const ended = core.answered(running, 0, Answer.Text, record);
			running.free();
			if (typeof ended === 'number') throw new Error('the operation asks for more');
			return JSON.parse(ended.texts[DATA] ?? '') as unknown;
		}
	};
}

/** The texts of a visit in which nothing has happened. */
const NEW = ['', '', ''];

/** The place of the data among the texts of an end. */
const DATA = 5;
