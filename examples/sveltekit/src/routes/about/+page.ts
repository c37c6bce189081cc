// Prerendered at build time: there the session handle must leave everything alone.
export const prerender = true;
