import * as jar from 'kit-jar';
import { MemoryStore } from 'vestiary';

import { endpointOf, handleOf } from '../peers/vestiary.ts';
import { worker } from './worker.ts';

export default worker(jar, (options) => ({
	handle: handleOf(options, new MemoryStore()),
	endpoint: endpointOf(options.data)
}));
