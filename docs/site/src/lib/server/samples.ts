import { format } from 'prettier';
import { createHighlighter } from 'shiki';
import blankSpace from 'ts-blank-space';

import { base } from '#lib/base.ts';

const highlighter = await createHighlighter({
	themes: ['github-light-high-contrast', 'github-dark-high-contrast'],
	langs: ['ts', 'js', 'svelte', 'rust', 'sh', 'console', 'sql', 'jsonc', 'toml', 'json', 'html']
});

const KNOWN = new Set(highlighter.getLoadedLanguages());

/** A sample as one reader sees it: in TypeScript or JavaScript, for SvelteKit 2 or 3. */
interface Variant {
	readonly language: 'ts' | 'js';
	readonly kit: 2 | 3;
	readonly code: string;
}

/** The name of a file in the first line of a sample: `// src/hooks.server.ts` or `<!-- src/routes/+page.svelte -->`. */
const NAME = /^(?:\/\/|<!--) ((?:src|e2e|[\w-]+\.config)\S*?)(, .+?)?(?: -->)?\n/;

let count = 0;

/** The HTML of a sample, with a version for each reader for whom it differs. */
export async function sample(language: string, code: string): Promise<string> {
	const [, file, note = ''] = NAME.exec(code) ?? [];
	const text = file === undefined ? code : code.replace(NAME, '');
	const variants = await variantsOf(language, text);
	const caption = (variant: Variant): string =>
		file === undefined
			? ''
			: `<figcaption>${(variant.language === 'js' ? file.replace(/\.ts$/, '.js') : file) + note}</figcaption>`;
	const only = variants[0];
	if (variants.length < 2 && only)
		return `<figure class="sample">${caption(only)}${highlighted(language, only.code)}</figure>`;

	const id = `sample-${++count}`;
	const kits = [2, 3].filter((kit) => variants.some((one) => one.kit === kit));
	const languages = ['ts', 'js'].filter((name) => variants.some((one) => one.language === name));
	const bodies = variants.map(
		(one) =>
			`<div class="variant" data-kit="${one.kit}" data-language="${one.language}">${caption(one)}` +
			`${highlighted(language === 'svelte' ? 'svelte' : one.language, one.code)}${one.kit === 3 ? DECLARED : ''}</div>`
	);
	return (
		`<figure class="sample" data-kits="${kits.length}" data-languages="${languages.length}">` +
		choice(id, 'language', languages, { ts: 'TypeScript', js: 'JavaScript' }) +
		choice(id, 'kit', kits, { 2: 'SvelteKit 2', 3: 'SvelteKit 3' }) +
		`${bodies.join('')}</figure>`
	);
}

const DECLARED = `<p class="declared">SvelteKit 3 asks you to <a href="${base}/tutorial#3-add-the-hook">declare the variable</a> in <code>src/env.ts</code>.</p>`;

/** Radio buttons, with which the sample can be switched without JavaScript. */
function choice(
	id: string,
	kind: string,
	values: readonly (string | number)[],
	names: Record<string, string>
): string {
	if (values.length < 2) return '';
	const buttons = values.map((value, n) => {
		const checked = n === 0 ? ' checked' : '';
		return `<label><input type="radio" name="${id}-${kind}" data-choice="${kind}" value="${value}"${checked} />${names[value]}</label>`;
	});
	return `<div class="choice" role="radiogroup" aria-label="${kind === 'kit' ? 'Version of SvelteKit' : 'Language'}">${buttons.join('')}</div>`;
}

async function variantsOf(language: string, code: string): Promise<Variant[]> {
	const given: Variant = { language: language === 'js' ? 'js' : 'ts', kit: 2, code };
	if (!['ts', 'js', 'svelte'].includes(language)) return [given];
	const variants = [given];
	const js = given.language === 'ts' ? await inJavaScript(language, code) : undefined;
	if (js !== undefined) variants.push({ language: 'js', kit: 2, code: js });
	for (const one of [...variants]) {
		const kit3 = forKit3(one.code);
		if (kit3 !== undefined) variants.push({ ...one, kit: 3, code: kit3 });
	}
	return variants;
}

const STYLE = { singleQuote: true, trailingComma: 'none', printWidth: 110 } as const;

/** The sample without types; undefined if it has none, or nothing else. */
async function inJavaScript(language: string, code: string): Promise<string | undefined> {
	if (language === 'svelte') {
		const script = /<script lang="ts"(.*?)>\n(.*?)<\/script>/s.exec(code);
		if (!script) return undefined;
		const [whole, attributes = '', text = ''] = script;
		const plain = await stripped(text.replaceAll(/^ {2}/gm, ''));
		if (plain === undefined) return undefined;
		const body = plain === '' ? '' : plain.replaceAll(/^(?=.)/gm, '  ');
		const js = body === '' ? '' : `<script${attributes}>\n${body}</script>`;
		return code.replace(whole, () => js).replace(/^\s+/, '');
	}
	const js = await stripped(code);
	if (js === undefined || js.replaceAll(/^\/\/.*$/gm, '').trim() === '') return undefined;
	const before = await format(code, { ...STYLE, parser: 'typescript' });
	return js === before ? undefined : js;
}

async function stripped(code: string): Promise<string | undefined> {
	try {
		const js = blankSpace(code, () => {
			throw new Error('it cannot be stripped');
		});
		// An empty import that a type has left, and a line without anything but the end of a statement.
		const tidy = js.replaceAll(/^import '.+' *;\n(?=\s*;)/gm, '').replaceAll(/^[ ;]+$/gm, '');
		return (await format(tidy, { ...STYLE, parser: 'babel' }))
			.replaceAll(/\n{3,}/g, '\n\n')
			.trimStart();
	} catch {
		// A part of a file, such as two signatures.
		return undefined;
	}
}

/** The sample for SvelteKit 3, where it reads the environment in another way; undefined if there is no difference. */
function forKit3(code: string): string | undefined {
	if (!code.includes("from '$env/dynamic/private'")) return undefined;
	const names = [...new Set([...code.matchAll(/\benv\.([A-Z_]+)/g)].map(([, name]) => name))];
	return code
		.replace(
			/import \{ env \} from '\$env\/dynamic\/private';/,
			`import { ${names.join(', ')} } from '$app/env/private';`
		)
		.replaceAll(/\benv\.([A-Z_]+)(?: \?\? '')?/g, '$1')
		.replaceAll(/\b([A-Z_]+): \1\b/g, '$1');
}

function highlighted(language: string, code: string): string {
	return highlighter.codeToHtml(code.trimEnd(), {
		lang: KNOWN.has(language) ? language : 'text',
		themes: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
		// Comments must be readable on the background of a sample.
		colorReplacements: { '#66707b': '#545d68' },
		defaultColor: false,
		transformers: [{ pre: (node) => void (node.properties['tabindex'] = '0') }]
	});
}
