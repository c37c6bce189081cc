import * as jar from 'kit-jar';

import { dataOf } from '../peers/peer.ts';
import { worker } from './worker.ts';

export default worker(jar, () => ({
	handle: ({ event, resolve }) => resolve(event),
	endpoint: async () => dataOf(64)
}));
