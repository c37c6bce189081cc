// Cloudflare Workers refuse WebAssembly made of bytes; there, importing the file gives the module.
import module from '../generated/vestiary.wasm';
import { start } from './instance.js';

start(module);
