/* All changes of a source, each of them behind a switch: one text in which any one of them can be made. */
import ts from 'typescript';

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

/**
 * The source with all changes behind `__change(number)`, and the list of them. The first has the number `first`.
 */
export function withChanges(text, first) {
	const source = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true);
	const changes = [];
	const change = (node, replacement) => {
		const from = node.getStart(source);
		const { line } = source.getLineAndCharacterOfPosition(from);
		const original = text.slice(from, node.getEnd());
		changes.push({ number: first + changes.length, line: line + 1, original, replacement });
		return `__change(${first + changes.length - 1})`;
	};

	/** The text of a node with its children emitted, one of them wrapped. */
	const inner = (node, wrapped, wrap) => {
		let emitted = '';
		let at = node.getStart(source);
		ts.forEachChild(node, (child) => {
			const from = child.getStart(source);
			const text = emit(child);
			emitted += source.text.slice(at, from) + (child === wrapped ? wrap(text) : text);
			at = child.getEnd();
		});
		return emitted + source.text.slice(at, node.getEnd());
	};

	const emit = (node) => {
		// Types and imports are not run.
		if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node))
			return node.getText(source);
		if (node.kind === Kind.TrueKeyword) return `(${change(node, 'false')} ? false : true)`;
		if (node.kind === Kind.FalseKeyword) return `(${change(node, 'true')} ? true : false)`;

		const operator = ts.isBinaryExpression(node) && OPERATORS.get(node.operatorToken.kind);
		if (operator) {
			const switched = change(node.operatorToken, operator);
			const [left, right] = [emit(node.left), emit(node.right)];
			const between = text.slice(node.left.getEnd(), node.right.getStart(source));
			return `(${switched} ? ${left} ${operator} ${right} : ${left}${between}${right})`;
		}
		if (ts.isIfStatement(node) || ts.isConditionalExpression(node)) {
			const condition = ts.isIfStatement(node) ? node.expression : node.condition;
			const always = change(condition, 'true');
			const never = change(condition, 'false');
			return inner(
				node,
				condition,
				(emitted) => `(${always} ? true : ${never} ? false : ${emitted})`
			);
		}
		if (ts.isPrefixUnaryExpression(node) && node.operator === Kind.ExclamationToken) {
			const switched = change(node, node.operand.getText(source));
			const operand = emit(node.operand);
			return `(${switched} ? ${operand} : !${operand})`;
		}
		if (ts.isExpressionStatement(node) && ts.isBlock(node.parent))
			return `if (!${change(node, ';')}) { ${inner(node)} }`;
		if (
			ts.isReturnStatement(node) &&
			node.expression &&
			node.expression.getText(source) !== 'undefined'
		)
			return `return ${change(node.expression, 'undefined')} ? undefined : ${emit(node.expression)};`;
		return inner(node);
	};
	return { text: inner(source), changes };
}
