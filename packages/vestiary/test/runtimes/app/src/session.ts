import { MemoryStore, sveltekitSessionHandle } from 'vestiary';
import { counts } from './counts';

export const session = sveltekitSessionHandle({
	secret: 'the fixed secret of the runtime tests',
	cookie: { maxAge: 600 },
	client: true,
	recheckAfter: 1,
	store: new (class extends MemoryStore {
		override get(id: string): ReturnType<MemoryStore['get']> {
			counts.reads++;
			return super.get(id);
		}
	})()
});
