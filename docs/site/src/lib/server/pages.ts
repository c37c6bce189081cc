/** A page of the site, made from a Markdown file of the repository. */
export interface Page {
	/** The path on the site, without slashes around it: `how-to/log-in`. */
	readonly path: string;
	/** The file in the repository. */
	readonly file: string;
	readonly title: string;
	readonly markdown: string;
}

/** A group of pages in the sidebar. */
export interface Group {
	readonly title: string;
	readonly pages: readonly Page[];
}

const texts = import.meta.glob<string>(
	['../../../../{tutorial,how-to/*,explanation/*,reference/*}.md'],
	{ query: '?raw', import: 'default', eager: true }
);
const others = import.meta.glob<string>(
	'../../../../../{CHANGELOG,ARCHITECTURE,CONTRIBUTING,SECURITY}.md',
	{
		query: '?raw',
		import: 'default',
		eager: true
	}
);

/** Pages in the order in which a reader meets them. All others follow, by their titles. */
const FIRST = [
	'how-to/log-in',
	'how-to/all-together',
	'how-to/stores',
	'how-to/protect-pages',
	'how-to/deploy',
	'how-to/troubleshooting',
	'reference/options',
	'reference/session',
	'explanation/life-of-a-request'
];

function pageOf([name, markdown]: [string, string]): Page {
	const file = name.replace(/^(?:\.\.\/){5}/, '').replace(/^(?:\.\.\/){4}/, 'docs/');
	const path = file
		.replace(/^docs\//, '')
		.replace(/\.md$/, '')
		.toLowerCase();
	const title = (/^# (.+)$/m.exec(markdown)?.[1] ?? path).replaceAll('`', '');
	return { path, file, title, markdown };
}

export const pages: readonly Page[] = [...Object.entries(texts), ...Object.entries(others)]
	.map(pageOf)
	.sort((one, other) => place(one) - place(other) || one.title.localeCompare(other.title));

function place({ path }: Page): number {
	const at = FIRST.indexOf(path);
	return at === -1 ? FIRST.length : at;
}

const under = (folder: string): Page[] => pages.filter(({ path }) => path.startsWith(`${folder}/`));
const named = (...paths: string[]): Page[] =>
	paths.flatMap((path) => pages.filter((page) => page.path === path));

export const groups: readonly Group[] = [
	{ title: 'Tutorial', pages: named('tutorial') },
	{ title: 'How-to guides', pages: under('how-to') },
	{ title: 'Reference', pages: under('reference') },
	{ title: 'Explanation', pages: under('explanation') },
	{ title: 'Project', pages: named('changelog', 'architecture', 'contributing', 'security') }
];
