import './wasm/edge-light.js';

export * from './vestiary.js';
