/** The add-on cannot go on without losing something of the application. The message says what to do. */
export class Refusal extends Error {
	override readonly name = 'Refusal';

	/** A refusal that ends when the application has made a change, and the add-on runs again. */
	static until(change: string): Refusal {
		return new Refusal(`${change}, and run this again`);
	}
}
