import { edited, type Edit } from '../edits.ts';
import { isPerRequest, optionsModule } from '../options.ts';
import { importPath, printer, type Draft, type Print } from '../project.ts';
import { Refusal } from '../refusal.ts';
import { Script } from '../script.ts';
import type { Source } from '../sources.ts';
import type { StoreKind } from '../stores.ts';
import { lineOf, type Node } from '../syntax.ts';

/** The module of the app that makes its sessions, changed. */
export interface AuthModule {
	readonly path: string;
	/** The function that finds a session by its cookie. */
	readonly validate: string;
	/** The name of the `Lucia` object; undefined for code by hand. */
	readonly object: string | undefined;
	/** The export that still reads the old table. */
	readonly former: string;
	/** The functions that return a promise by now. */
	readonly awaited: readonly string[];
}

/** The module, before its functions act on Vestiary's session. */
export interface Context extends Source {
	readonly draft: Draft;
	readonly script: Script;
	/** The expression of Vestiary's options. */
	readonly options: string;
	readonly print: Print;
}

export function contextOf(draft: Draft, source: Source, store: StoreKind): Context {
	return {
		draft,
		script: new Script(source.text),
		...source,
		options: isPerRequest(store) ? 'options(getRequestEvent())' : 'options',
		print: printer(draft.project)
	};
}

/** A refusal of what stands at a node of the module, with what to change there. */
export function refused({ path, script }: Context, node: Node, text: string): Refusal {
	return Refusal.until(`${path}:${lineOf(script, node)} ${text}`);
}

/** The imports of the functions that act on Vestiary's session. */
export function importsFor({ draft, path }: Context): string[] {
	return [
		"import { getRequestEvent } from '$app/server';",
		"import { sessions } from 'vestiary';",
		`import { options } from '${importPath(path, optionsModule(draft.project))}';`
	];
}

/** Writes the module, with these edits, and functions at its end. */
export function writeModule(
	context: Context,
	edits: readonly Edit[],
	end: string,
	more: readonly string[] = []
): void {
	const { draft, script, path, text, print } = context;
	const { ts, js } = print;
	const imports = [...importsFor(context), ...more];
	const shared = `/**
 * The session of a visitor who is logged in, as the app has it.${js("\n *\n * @template Id\n * @param {import('vestiary').Session} session\n * @param {Id} userId")}
 */
function sessionOf${ts('<Id>')}(session${ts(": import('vestiary').Session")}, userId${ts(': Id')}) {
	const expiresAt = session.expires ?? new Date(8.64e15);
	return { id: session.logId ?? '', userId, expiresAt, fresh: false };
}
`;
	const changed = edited(text, [...script.afterImports(imports), ...edits]);
	draft.write(path, `${changed.trimEnd()}\n\n${shared}\n${end}`);
}

/** The statements that end a session, of this visitor or of another device. */
export const ending = (
	id: string,
	options: string
): string => `const { session } = getRequestEvent().locals;
	if (session.logId === ${id}) await session.destroy();
	else if (session.userId !== undefined) await sessions(${options}).of(session.userId).revoke(${id});`;
