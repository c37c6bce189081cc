import { readdirSync, readFileSync } from 'node:fs';

/** The folder of pictures. A build of the site runs in its own folder. */
const FOLDER = '../images';

export const names: readonly string[] = readdirSync(FOLDER);

export function image(name: string): Buffer<ArrayBuffer> {
	return readFileSync(`${FOLDER}/${name}`) as Buffer<ArrayBuffer>;
}

/** Width and height in pixels, so that the browser reserves the place of a picture before it has arrived. */
export function sizeOf(name: string): [number, number] {
	const bytes = image(name);
	if (name.endsWith('.png')) return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
	const [, width = '0', height = '0'] =
		/viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(bytes.toString()) ?? [];
	return [Number(width), Number(height)];
}
