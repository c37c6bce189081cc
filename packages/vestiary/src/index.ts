import './wasm/inline.js';

export * from './vestiary.js';
