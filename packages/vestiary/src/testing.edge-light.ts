import './server-only.js';
import './wasm/edge-light.js';

export * from './fake-event.js';
export * from './login-as.js';
export * from './store-suites.js';
