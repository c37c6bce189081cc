// Moves the clock of the demo's server, which this is loaded into before the app: the browser test sends it seconds.
import process from 'node:process';

const now = Date.now;
let ahead = 0;
Date.now = () => now() + ahead;
process.on('message', (seconds) => {
	ahead += Number(seconds) * 1_000;
	process.send?.('moved');
});
