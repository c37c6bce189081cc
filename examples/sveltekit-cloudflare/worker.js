// The Worker: the app as adapter-cloudflare makes it, and the class of its Durable Objects.
export { default } from './.svelte-kit/cloudflare/_worker.js';
export { SessionObject } from 'vestiary/durable-objects/object';
