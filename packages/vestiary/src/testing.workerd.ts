import './server-only.js';
import './wasm/workerd.js';

export { fakeEvent, type FakeEvent, type FakeRequest, type FakeVisitor } from './fake-event.js';
export { testAtomicStore, testStore, type Runner, type StoreTestOptions } from './store-suites.js';
