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
	readonly asked: string[];
	readonly texts: string[];
	free(): void;
}

interface Bindings {
	readCookies: Core['readCookies'];
	sign: Core['sign'];
	begin(task: number, given: { id?: string; data?: string }): Running;
	answered(running: Running, answer: number, text?: string): number;
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
	Task: Record<'Open' | 'Create', number>;
	Answer: Record<'Begin' | 'NewId' | 'Text', number>;
}

export async function loadCore(secret: string, encrypts: boolean): Promise<Core> {
	const entry = import.meta.resolve('vestiary');
	const { Core } = (await import(new URL('core.js', entry).href)) as CoreModule;
	const { Task, Answer } = (await import(
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
			const running = core.begin(Task.Create, { data });
			core.answered(running, Answer.Begin);
			core.answered(running, Answer.NewId, id);
			const [, text = ''] = running.asked;
			running.free();
			return text;
		},
		decode: (id, record) => {
			const running = core.begin(Task.Open, { id });
			core.answered(running, Answer.Begin);
			core.answered(running, Answer.Text, record);
			const [, , data = ''] = running.texts;
			running.free();
			return JSON.parse(data) as unknown;
		}
	};
}
