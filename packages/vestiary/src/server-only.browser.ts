/**
 * Replaces the package when a bundler builds for browsers in production. The import below cannot be resolved, so the
 * build fails with a message that contains its name. Development uses the real modules, which throw at run time
 * (`server-only.ts`), because an error of Vite's dependency optimizer would end `vite dev`.
 */
// @ts-expect-error -- it is not exported
import { 'vestiary is for the server only: import it in hooks.server.ts, +page.server.ts, +server.ts or src/lib/server, and its types with `import type`' as serverOnly } from './server-only.js';

// eslint-disable-next-line @typescript-eslint/no-meaningless-void-operator -- Rollup ignores an unused import
void serverOnly;
