import './server-only.js';
import './wasm/inline.js';

export * from './fake-event.js';
export * from './login-as.js';
export * from './store-suites.js';
