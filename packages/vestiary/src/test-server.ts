import { global, TEST_SERVER, type TestServer } from './test-requests.js';

/** The module `vestiary/testing/server`, if the server was started with it: in production it never is. */
export const testServer: TestServer | undefined = global[TEST_SERVER];
