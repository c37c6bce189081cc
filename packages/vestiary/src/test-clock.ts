const RealDate = Date;

let ahead = 0;

const now = (): number => RealDate.now() + ahead;

/** `Date`, as far ahead of the real one as a test has said. Timers are not moved. */
const MovedDate = new Proxy(RealDate, {
	construct: (target, values: unknown[], made) =>
		Reflect.construct(target, values.length === 0 ? [now()] : values, made) as Date,
	apply: () => new RealDate(now()).toString(),
	get: (target, key): unknown => (key === 'now' ? now : Reflect.get(target, key))
});

/** Moves `Date` of this process ahead by this number of seconds; with `undefined`, back to the real time. */
export function moveClock(seconds: number | undefined): void {
	ahead = seconds === undefined ? 0 : ahead + seconds * 1_000;
	globalThis.Date = ahead === 0 ? RealDate : MovedDate;
}
