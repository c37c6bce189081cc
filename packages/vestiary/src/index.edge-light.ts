import './server-only.js';
import './wasm/edge-light.js';

export * from './vestiary.js';
