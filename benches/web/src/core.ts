/** The core inside the package, which it does not export: only these benchmarks reach in there. */
import 'vestiary';

/** The functions of a core that are measured. */
export interface Core {
	readCookies: (header: string | null) => string[] | undefined;
	sign: (id: string) => string;
	/** The record of a new session with this data: runs an operation up to its first call to the store. */
	encode: (id: string, data: string) => string;
	/** The data of a stored record: an operation that opens it. */
	decode: (id: string, record: string) => unknown;
}

interface Running {
	/** The call to the store, with a NUL between its parts. */
	readonly asked: string;
	free(): void;
}

/** An operation in progress, or its end. */
type Going =
	| { readonly ended: { readonly texts: string[] } }
	| { readonly ended?: undefined; readonly running: Running };

interface Bindings {
	readCookies: Core['readCookies'];
	sign: Core['sign'];
	begin(
		task: number,
		given: { flags: number; at: number; texts: string[] },
		facts: number
	): Going;
	answered(running: Running, facts: number, answer: number, text?: string): Going;
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
	Answer: Record<'NewId' | 'Text', number>;
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
			const begun = core.begin(Task.Save, { flags: Given.Changes, at: 0, texts }, 0);
			const running = unfinished(begun);
			core.answered(running, 0, Answer.NewId, id);
			const [, text = ''] = running.asked.split('\0');
			running.free();
			return text;
		},
		decode: (id, record) => {
			const texts = [...NEW, id];
			const begun = core.begin(Task.Open, { flags: Given.Present, at: 0, texts }, 0);
			const running = unfinished(begun);
			const { ended } = core.answered(running, 0, Answer.Text, record);
			running.free();
			if (!ended) throw new Error('the operation asks for more');
			return JSON.parse(ended.texts[DATA] ?? '') as unknown;
		}
	};
}

function unfinished(going: Going): Running {
	if (going.ended) throw new Error('the operation asks for nothing');
	return going.running;
}

/** The texts of a visit before any operation. */
const NEW = ['', '', ''];

/** The position of the data among the texts of an end. */
const DATA = 5;
