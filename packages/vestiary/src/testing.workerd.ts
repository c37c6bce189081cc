import './server-only.js';
import './wasm/workerd.js';

export * from './fake-event.js';
export * from './login-as.js';
export * from './store-suites.js';
