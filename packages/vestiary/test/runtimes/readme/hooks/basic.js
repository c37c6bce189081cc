import { sveltekitSessionHandle } from 'vestiary';

export const handle = sveltekitSessionHandle({ secret: 'secret' });
