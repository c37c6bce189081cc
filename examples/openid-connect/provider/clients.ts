/** An app of this provider. Its secret is no secret: this provider is for one machine. */
export interface Client {
	id: string;
	secret: string;
	name: string;
	/** How the provider tells the app of a logout. */
	channel: 'back' | 'front';
}

const secret = 'known-to-every-reader';

/** The app of this example. */
export const CLIENT: Client = {
	id: 'cloakroom',
	secret,
	name: 'The cloakroom',
	channel: 'back'
};

/** The same app a second time, under another name and at another address. */
export const OTHER_CLIENT: Client = {
	id: 'lost-and-found',
	secret,
	name: 'Lost and found',
	channel: 'front'
};
