/** The add-on cannot go on without losing something of the application. The message says what to do. */
export class Refusal extends Error {
	override readonly name = 'Refusal';
}
