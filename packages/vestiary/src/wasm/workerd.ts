// Cloudflare Workers refuse to compile WebAssembly from bytes. Importing the file gives the module.
import module from '../generated/vestiary.wasm';
import { start } from './instance.js';

start(module);
