// Copies a function and its imports, as Netlify does when it deploys one, with the same tracer.
import { cp, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';

import { nodeFileTrace } from '@vercel/nft';

const [, , file, folder] = process.argv;
const { fileList } = await nodeFileTrace([file], { base: process.cwd() });
for (const name of fileList) await cp(await realpath(name), join(folder, name));
