/** Processes that must not outlive this one, however it ends. */
import type { ChildProcess } from 'node:child_process';

const running = new Set<ChildProcess>();

export function guarded<Child extends ChildProcess>(child: Child): Child {
	running.add(child);
	child.once('exit', () => running.delete(child));
	return child;
}

/** Ends a process, and waits until it has ended. */
export async function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exit = new Promise((resolve) => child.once('exit', resolve));
	child.kill('SIGKILL');
	await exit;
}

process.once('exit', () => {
	for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
	process.once(signal, () => process.exit(1));
