import './wasm/workerd.js';

export * from './vestiary.js';
