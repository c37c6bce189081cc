import { sizeOf } from '#lib/server/images.ts';
import { sample } from '#lib/server/samples.ts';

const HOOK = `// src/hooks.server.ts
import { env } from '$env/dynamic/private';
import { sveltekitSessionHandle } from 'vestiary';

export const handle = sveltekitSessionHandle({ secret: env.SESSION_SECRET ?? '' });
`;

const USE = `// src/routes/login/+page.server.ts
export const actions = {
  default: async ({ locals, request }) => {
    const form = await request.formData();
    const user = await check(form.get('name'), form.get('password'));
    if (user) await locals.session.login(user.id);
  }
};
`;

export const load = async () => ({
	hook: await sample('ts', HOOK),
	use: await sample('ts', USE),
	size: sizeOf('demo-devices.png')
});
