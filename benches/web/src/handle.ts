/** The cost of a session per request, with the handle called directly in one process. */
import { CASES, GROWTH, sceneOf, VISITORS, type Case, type Scene } from './cases.ts';
import type { Context } from './context.ts';
import type { Kit } from './kit-request.ts';
import { loadKit } from './kit.ts';
import { Latency } from './latency.ts';
import { measure, SMOKE, type Candidate, type Plan, type Times } from './measure.ts';
import { allPeers } from './peers/all.ts';
import { BARE, bareScenes } from './peers/bare.ts';
import type { Peer } from './peers/peer.ts';
import { exactly, spread, write, type Measured, type Row } from './results.ts';

export const IN_FLIGHT = 64;

const METHOD =
	'The handles run in one process, with prepared events and responses and SvelteKit’s own cookie jar. ' +
	'Each round runs all of them, in random order. The number is the cost over a handle that only ' +
	'resolves; for express-session, over a node:http request without middleware.';

/** How a scene is run, and its baseline. */
type Way = (scene: Scene, base?: Candidate) => Candidate;
export const sequential: Way = (scene, base) => scene.sequential(base);
export const inFlight: Way = (scene, base) => scene.inFlight(IN_FLIGHT, base);

export async function handle(context: Context): Promise<void> {
	const kit = await loadKit(context.build);
	const peers = allPeers(kit);
	const scenes = await scenesOf(context, peers, CASES);
	const titled = (group: string, title: string): Omit<Measured, 'rows'> => ({
		group,
		title,
		unit: 'µs',
		lowerIsBetter: true,
		method: METHOD
	});
	await save(context, peers, {
		...titled('handle-sequential', 'SvelteKit handle, one request after the other'),
		rows: await rowsOf(kit, scenes, sequential, plan(context, 30, 8, 1))
	});
	await save(context, peers, {
		...titled('handle-in-flight', `SvelteKit handle, ${IN_FLIGHT} requests in flight`),
		rows: await rowsOf(kit, scenes, inFlight, plan(context, 30, 8, IN_FLIGHT))
	});
	for (const [name, unit, made] of [
		['header', 'bytes of other cookies', GROWTH.header],
		['secrets', 'secrets, the cookie signed by the last', GROWTH.secrets],
		['data', 'bytes of data', GROWTH.data]
	] as const) {
		const growing = await scenesOf(context, peers, made);
		await save(context, peers, {
			...titled(`growth-${name}`, `A read, by ${unit}`),
			rows: await rowsOf(kit, growing, sequential, plan(context, 15, 4, 1))
		});
	}
	await withLatency(context, kit, peers);
}

/** A store with the same delay for all libraries: only the number of calls matters. */
async function withLatency(context: Context, kit: Kit, peers: Peer[]): Promise<void> {
	const latency = new Latency();
	const storing = peers.filter((peer) => !peer.stateless);
	const cases = CASES.filter(({ bytes, options }) => bytes <= 64 && !options.hashIds);
	const scenes = await scenesOf(context, storing, cases, latency);
	const calls: Row[] = [];
	for (const { made, peer, scene } of scenes) {
		const counted = await scene.count(() => latency.calls, context.smoke ? 4 : 200);
		calls.push({ case: made.name, peer: peer.name, ...exactly(counted) });
	}
	await save(context, storing, {
		group: 'store-calls',
		title: 'Store calls of a request',
		unit: 'calls',
		lowerIsBetter: true,
		method: 'The calls of each library’s own memory store are counted, over many requests.',
		rows: calls
	});
	const slow = {
		unit: 'µs',
		lowerIsBetter: true,
		method: `${METHOD} Each store call waits ${Latency.MICROS} µs, for each library.`
	};
	const title = `SvelteKit handle with a store that takes ${Latency.MICROS} µs`;
	await save(context, storing, {
		...slow,
		group: 'store-latency',
		title: `${title}, one request after the other`,
		rows: await rowsOf(kit, scenes, sequential, plan(context, 15, 8, 1))
	});
	await save(context, storing, {
		...slow,
		group: 'store-latency-in-flight',
		title: `${title}, ${IN_FLIGHT} requests in flight`,
		rows: await rowsOf(kit, scenes, inFlight, plan(context, 15, 8, IN_FLIGHT))
	});
}

interface Staged {
	made: Case;
	peer: Peer;
	scene: Scene;
}

export async function scenesOf(
	context: Context,
	peers: Peer[],
	cases: Case[],
	latency?: Latency
): Promise<Staged[]> {
	const scenes: Staged[] = [];
	for (const made of cases) {
		for (const peer of peers) {
			const scene = await sceneOf(peer, made, context.smoke ? FEW : VISITORS, latency?.wait);
			if (!scene) continue;
			scenes.push({ made, peer, scene });
			context.checked(`${peer.name}: ${made.name}`);
		}
	}
	return scenes;
}

/** The visitors of a short run. With fewer, too many requests in flight would write the same session. */
const FEW = 16;

export async function rowsOf(kit: Kit, scenes: Staged[], way: Way, plan: Plan): Promise<Row[]> {
	const bare = bareScenes(kit);
	const bases = { kit: way(bare.kit), node: way(bare.node) };
	const staged = scenes.map((one): [Staged, Candidate] => [
		one,
		way(one.scene, bases[one.peer.base])
	]);
	const times = await measure(
		[...Object.values(bases), ...staged.map(([, candidate]) => candidate)],
		plan
	);
	const timesOf = (candidate: Candidate): Times =>
		times.get(candidate) ?? { absolute: [], over: [] };
	const rows = (['kit', 'node'] as const).map((base): Row => {
		const { absolute } = timesOf(bases[base]);
		return { case: 'bare', peer: BARE[base], ...spread(absolute) };
	});
	for (const [{ made, peer }, candidate] of staged) {
		const { absolute, over } = timesOf(candidate);
		rows.push({
			case: made.name,
			peer: peer.name,
			...spread(over),
			over: BARE[peer.base],
			absolute: spread(absolute).median
		});
	}
	return rows;
}

export function plan({ smoke }: Context, rounds: number, slice: number, multiple: number): Plan {
	return smoke ? { ...SMOKE, multiple } : { rounds, slice, multiple };
}

function save({ folder }: Context, peers: Peer[], measured: Measured): Promise<void> {
	return write(folder, measured, ['@sveltejs/kit', ...peers.map((peer) => peer.package)]);
}
