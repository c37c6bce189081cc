import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => {
	const save = async (): Promise<string> => {
		await locals.answered;
		await locals.session.setData({ n: 9 });
		return locals.session.save().then(
			() => 'saved',
			(error: unknown) => (error as Error).name
		);
	};
	return { outcome: save() };
};
