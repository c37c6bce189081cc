// Vercel's edge runtime gives the module for an import with this suffix.
import module from '../generated/vestiary.wasm?module';
import { start } from './instance.js';

start(module);
