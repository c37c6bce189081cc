import { getRequestEvent, query } from '$app/server';
import { error } from '@sveltejs/kit';

/** The time of the machine, again and again, for as long as the session lives. */
export const times = query.live(async function* () {
	const { session } = getRequestEvent().locals;
	if (session.userId === undefined) error(401);
	yield* session.until(ticks());
});

async function* ticks(): AsyncGenerator<number> {
	for (;;) {
		yield performance.timeOrigin + performance.now();
		await new Promise((resolve) => setTimeout(resolve, 200));
	}
}
