import base64 from '../generated/wasm-base64.js';
import { start } from './instance.js';

const binary = atob(base64);
const bytes = new Uint8Array(binary.length);
for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);

start(new WebAssembly.Module(bytes));
