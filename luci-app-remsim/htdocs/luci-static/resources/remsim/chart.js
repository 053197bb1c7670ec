'use strict';
'require baseclass';

/* Where the parts of a chart stand. Pure. Points are [time, min, avg, max] as
   `history` gives them; remsim.draw makes SVG of the result. */

const frame = { left: 68, right: 10, top: 8, bottom: 22 };

/* The nearest of 1, 2, 5 × 10^n above x. */
function nice(x) {
	const base = 10 ** Math.floor(Math.log10(x));
	return base * ([ 1, 2, 5 ].find(m => m * base >= x) ?? 10);
}

/* Steps of time that people count in, in seconds. */
const steps = [ 60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800 ];

return baseclass.extend({
	spans: { '1h': 3600, '6h': 21600, '24h': 86400, '7d': 604800 },

	/* Round numbers that cover low..high. */
	ticks(low, high, wanted) {
		if (low == high) {
			low -= 1;
			high += 1;
		}
		const step = nice((high - low) / wanted);
		const first = Math.floor(low / step), last = Math.ceil(high / step);
		return Array.from({ length: last - first + 1 }, (_unused, i) => (first + i) * step);
	},

	/* Round local times in from..to; zone is the browser's offset in seconds. */
	times(from, to, wanted, zone) {
		const step = steps.find(s => (to - from) / s <= wanted) ?? steps.at(-1);
		const out = [];
		for (let t = Math.ceil((from + zone) / step) * step - zone; t <= to; t += step)
			out.push(t);
		return out;
	},

	/* Splits points where data are missing. */
	runs(points, gap) {
		const out = [];
		for (const p of points) {
			const run = out.at(-1);
			if (run && p[0] - run.at(-1)[0] <= gap)
				run.push(p);
			else
				out.push([ p ]);
		}
		return out;
	},

	/* { points, from, to, step, width, height, zone } -> everything to draw. */
	lay(c) {
		const points = c.points.filter(p => p.length == 4 && p.every(Number.isFinite) && p[0] >= c.from && p[0] <= c.to);
		if (!points.length)
			return null;
		const ys = this.ticks(Math.min(...points.map(p => p[1])), Math.max(...points.map(p => p[3])), 4);
		const right = c.width - frame.right, bottom = c.height - frame.bottom;
		const x = t => Math.round((frame.left + (t - c.from) / (c.to - c.from) * (right - frame.left)) * 10) / 10;
		const y = v => Math.round((bottom - (v - ys[0]) / (ys.at(-1) - ys[0]) * (bottom - frame.top)) * 10) / 10;
		const runs = this.runs(points, c.step * 2.5);
		const path = (run, k) => run.map(p => `${x(p[0])},${y(p[k])}`).join(' L');
		return {
			left: frame.left, right, top: frame.top, bottom,
			rows: ys.map(v => ({ y: y(v), value: v })),
			columns: this.times(c.from, c.to, c.width > 500 ? 8 : 4, c.zone ?? 0).map(t => ({ x: x(t), time: t })),
			lines: runs.map(run => run.length > 1 ? `M${path(run, 2)}` : `M${path(run, 2)} h2`),
			bands: runs.filter(run => run.length > 1).map(run => `M${path(run, 3)} L${path([ ...run ].reverse(), 1)} Z`),
			last: points.at(-1),
			least: Math.min(...points.map(p => p[1])),
			most: Math.max(...points.map(p => p[3])),
		};
	},
});
