import { error } from '@sveltejs/kit';

import { image, names } from '#lib/server/images.ts';

export const prerender = true;

export const entries = () => names.map((name) => ({ name }));

export const GET = ({ params: { name } }: { params: { name: string } }) => {
	if (!names.includes(name)) error(404, 'There is no such picture');
	return new Response(image(name), {
		headers: { 'content-type': name.endsWith('.svg') ? 'image/svg+xml' : 'image/png' }
	});
};
