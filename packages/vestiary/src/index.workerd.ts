import './server-only.js';
import './wasm/workerd.js';

export * from './vestiary.js';
