/** An app, as far as the add-on looks at it. */
export interface Project {
	readonly language: 'ts' | 'js';
	/** The major version of SvelteKit. */
	readonly kit: 2 | 3;
	/** Whether variables of the environment are declared in src/env, as SvelteKit 3 wants them. */
	readonly declaresEnvironment: boolean;
	/** The folders of `src`, `lib` and the routes, without a slash at their end. */
	readonly src: string;
	readonly lib: string;
	readonly routes: string;
	/** The version of a dependency of the app. */
	readonly version: (name: string) => string | undefined;
	/** The text of a file, or `undefined` if there is none. */
	readonly read: (path: string) => string | undefined;
	/** The source files of the app, in `src`. */
	readonly sources: () => string[];
}

/** Changes of a project, before they are written: either all of them are made, or none. */
export class Draft {
	readonly project: Project;
	readonly written = new Map<string, string>();
	readonly dependencies = new Map<string, string>();
	readonly notes: string[] = [];

	constructor(project: Project) {
		this.project = project;
	}

	read(path: string): string | undefined {
		return this.written.get(path) ?? this.project.read(path);
	}

	write(path: string, text: string): void {
		if (this.read(path) !== text) this.written.set(path, text);
	}

	/** Writes a file that is not there yet. One that is there belongs to the application. */
	add(path: string, text: string): void {
		if (this.read(path) === undefined) this.write(path, text);
	}

	/** Adds a dependency, unless the app has one of this name, of whatever version. */
	depend(name: string, version: string): void {
		if (this.project.version(name) === undefined) this.dependencies.set(name, version);
	}

	/** The name of a script, with the ending of the project's language. */
	script(path: string): string {
		return `${path}.${this.project.language}`;
	}

	/** The file of this name that is there in either language, or the one to write. */
	existing(path: string): string {
		const other = `${path}.${this.project.language === 'ts' ? 'js' : 'ts'}`;
		const own = this.script(path);
		return this.read(own) === undefined && this.read(other) !== undefined ? other : own;
	}
}

/** The module at `to`, as a file at `from` imports it. */
export function importPath(from: string, to: string): string {
	const folder = from.split('/').slice(0, -1);
	const target = to.split('/');
	while (folder.length > 0 && folder[0] === target[0]) {
		folder.shift();
		target.shift();
	}
	return `${folder.length === 0 ? './' : '../'.repeat(folder.length)}${target.join('/')}`;
}

/** Prints the parts of a template that only TypeScript, or only JavaScript, has. */
export interface Print {
	readonly ts: (text: string) => string;
	readonly js: (text: string) => string;
}

export function printer({ language }: Project): Print {
	const when = (wanted: 'ts' | 'js') => (text: string) => (language === wanted ? text : '');
	return { ts: when('ts'), js: when('js') };
}
