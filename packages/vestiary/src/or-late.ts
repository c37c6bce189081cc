/** Waits for a reply, up to a time in milliseconds. If it has not come by then, throws the error that `late` makes. */
export async function orLate<T>(
	reply: PromiseLike<T>,
	milliseconds: number,
	late: () => Error
): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const end = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			reject(late());
		}, milliseconds);
	});
	try {
		return await Promise.race([reply, end]);
	} finally {
		clearTimeout(timer);
	}
}
