import { fail, redirect } from '@sveltejs/kit';

import { mySessions, requireFresh, requireUser } from '../../../lib/server/guard';
import type { Actions, PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals: { session } }) => ({
	devices: await mySessions().list(session),
	flash: await session.takeFlash()
});

export const actions: Actions = {
	end: async ({ locals: { session }, request }) => {
		requireUser();
		const handle = String((await request.formData()).get('handle'));
		const device = (await mySessions().list(session)).find((one) => one.handle === handle);
		if (!device) return fail(404, { error: 'This device is not logged in any more.' });
		await mySessions().revoke(handle);
		if (device.current) redirect(303, '/');
		await session.flash({ text: `${device.device?.browser ?? 'The device'} is logged out.` });
		redirect(303, '/devices');
	},
	endOthers: async ({ locals: { session } }) => {
		requireUser();
		await mySessions().revokeOthers(session);
		await session.flash({ text: 'All other devices are logged out.' });
		redirect(303, '/devices');
	},
	endAll: async () => {
		requireFresh();
		await mySessions().revokeAll();
		redirect(303, '/');
	}
};
