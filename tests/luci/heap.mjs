/* Does an open page grow? The overview stays open for MINUTES (10), with something
   happening every few seconds and a forced collection before each reading. Not part
   of `make test`: run it by `make bench-luci`. */

import { setTimeout as wait } from 'node:timers/promises';
import { Demo, Visit, close } from './rig.mjs';

const minutes = Number(process.env.MINUTES ?? 10);
const most = 1 << 20; /* bytes that the second half may have grown over the first */

const demo = await Demo.start();
const visit = await Visit.start(demo);
await visit.open('overview');
const devtools = await visit.context.newCDPSession(visit.page);
await devtools.send('HeapProfiler.enable');

const read = async () => {
	await devtools.send('HeapProfiler.collectGarbage');
	const { usedSize } = await devtools.send('Runtime.getHeapUsage');
	const { nodes } = await devtools.send('Memory.getDOMCounters');
	return { usedSize, nodes };
};

const readings = [];
let signal = -84;
for (const end = Date.now() + minutes * 60_000; Date.now() < end;) {
	for (let i = 0; i < 10; i++) {
		signal = signal <= -110 ? -84 : signal - 1;
		await demo.does(`signal primary ${signal}`);
		await wait(1000);
	}
	readings.push(await read());
}
await close();
await demo.stop();

const median = (list, key) => list.map(r => r[key]).sort((a, b) => a - b)[list.length >> 1];
const half = readings.length >> 1;
const [ first, second ] = [ readings.slice(0, half), readings.slice(half) ];
const grown = median(second, 'usedSize') - median(first, 'usedSize');
console.log(`heap after collection: median ${(median(first, 'usedSize') / 1024).toFixed(0)} KiB in the first half, ${(median(second, 'usedSize') / 1024).toFixed(0)} KiB in the second;`
	+ ` nodes ${median(first, 'nodes')} and ${median(second, 'nodes')}; ${readings.length} readings in ${minutes} minutes`);
if (visit.errors.length || grown > most) {
	console.error(`errors: ${visit.errors.join('; ') || 'none'}; grown by ${grown} bytes, ${most} are allowed`);
	process.exitCode = 1;
}
