import { sveltekitSessionHandle } from 'vestiary';

import { options } from './sessions';

export const handle = sveltekitSessionHandle(options);
