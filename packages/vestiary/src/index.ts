import './server-only.js';
import './wasm/inline.js';

export * from './vestiary.js';
