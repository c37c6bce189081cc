/*
 * Changes one thing at a time in the sources of the package, and runs the unit tests on it. A change that no test
 * notices is printed: it needs a test, or an explanation.
 *
 *     node packages/vestiary/mutate.mjs [--sample 100] src/find.ts src/scope.ts
 *
 * Run it in a worktree of its own: it writes into the sources, and restores them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import ts from 'typescript';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const { SyntaxKind: Kind } = ts;

/** Operators, and what each becomes. */
const OPERATORS = new Map([
	[Kind.EqualsEqualsEqualsToken, '!=='],
	[Kind.ExclamationEqualsEqualsToken, '==='],
	[Kind.AmpersandAmpersandToken, '||'],
	[Kind.BarBarToken, '&&'],
	[Kind.QuestionQuestionToken, '&&'],
	[Kind.LessThanToken, '<='],
	[Kind.LessThanEqualsToken, '<'],
	[Kind.GreaterThanToken, '>='],
	[Kind.GreaterThanEqualsToken, '>'],
	[Kind.PlusToken, '-'],
	[Kind.MinusToken, '+']
]);

/** All changes of a source: where, and what is put there. */
function changesOf(text) {
	const source = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true);
	const changes = [];
	const change = (node, replacement) => {
		const from = node.getStart(source);
		const { line } = source.getLineAndCharacterOfPosition(from);
		changes.push({ from, to: node.getEnd(), replacement, line: line + 1 });
	};
	const visit = (node) => {
		// Types and imports are not run.
		if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node))
			return;
		const operator = ts.isBinaryExpression(node) && OPERATORS.get(node.operatorToken.kind);
		if (operator) change(node.operatorToken, operator);
		if (ts.isIfStatement(node) || ts.isConditionalExpression(node)) {
			const condition = ts.isIfStatement(node) ? node.expression : node.condition;
			for (const value of ['true', 'false']) change(condition, value);
		}
		if (ts.isPrefixUnaryExpression(node) && node.operator === Kind.ExclamationToken)
			change(node, node.operand.getText(source));
		if (node.kind === Kind.TrueKeyword) change(node, 'false');
		if (node.kind === Kind.FalseKeyword) change(node, 'true');
		if (ts.isExpressionStatement(node) && ts.isBlock(node.parent)) change(node, ';');
		if (ts.isReturnStatement(node) && node.expression) change(node.expression, 'undefined');
		ts.forEachChild(node, visit);
	};
	visit(source);
	return changes;
}

/** Whether a test notices. One that never ends is noticed, too. */
function isCaught() {
	const run =
		'vitest run --project unit --bail=1 --no-isolate --maxWorkers=1 --testTimeout=20000';
	const without = ['docs', 'differential', 'vectors'].map(
		(name) => `--exclude=test/${name}.test.ts`
	);
	const all = [...run.split(' '), ...without];
	return (
		spawnSync('npx', all, {
			cwd: ROOT,
			stdio: 'ignore',
			timeout: 120_000,
			killSignal: 'SIGKILL'
		}).status !== 0
	);
}

const { values, positionals } = parseArgs({
	options: { sample: { type: 'string', default: '100' } },
	allowPositionals: true
});
const share = Number(values.sample) / 100;
if (isCaught()) throw new Error('the tests fail without any change');
for (const file of positionals) {
	const path = `${ROOT}/${file}`;
	const text = readFileSync(path, 'utf8');
	const all = changesOf(text);
	// Spread evenly, and the same ones each time.
	const chosen = all.filter((_, at) => Math.floor(at * share) !== Math.floor((at - 1) * share));
	let caught = 0;
	for (const { from, to, replacement, line } of chosen) {
		try {
			writeFileSync(path, text.slice(0, from) + replacement + text.slice(to));
			if (isCaught()) caught++;
			else console.log(`${file}:${line}: ${text.slice(from, to)} -> ${replacement}`);
		} finally {
			writeFileSync(path, text);
		}
	}
	console.log(`${file}: ${chosen.length} of ${all.length} changes, ${caught} caught`);
}
