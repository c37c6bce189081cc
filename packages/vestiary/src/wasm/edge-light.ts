// In Vercel's edge runtime, an import with this suffix gives the module.
import module from '../generated/vestiary.wasm?module';
import { start } from './instance.js';

start(module);
