import { resolveCommandArray, type AgentName } from '@sveltejs/sv-utils';

/** A text whose commands, between backticks, are those of the package manager of the app. */
export function withCommands(
	text: string,
	agent: AgentName,
	marked: (command: string) => string
): string {
	return text.replace(/`([^`]+)`/g, (_, code: string) => marked(inPackageManager(code, agent)));
}

/** A command of npm, as the package manager of the app has it. */
export function inPackageManager(command: string, agent: AgentName): string {
	const [program = '', ...words] = command.split(' ');
	if (program === 'npm' && words[0] === 'run')
		return resolveCommandArray(agent, 'run', words.slice(1)).join(' ');
	// `sv` is not a package of the app, and wrangler is.
	if (program === 'npx')
		return resolveCommandArray(
			agent,
			words[0] === 'sv' ? 'execute' : 'execute-local',
			words
		).join(' ');
	return command;
}
