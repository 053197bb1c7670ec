'use strict';
'require baseclass';
'require remsim.words as words';
'require remsim.format as format';

/* SVG out of what the pure modules placed. Colours are the theme's: its
   variables where it has them, the text's own colour elsewhere. */

const ink = {
	good: 'var(--success-color-high, currentColor)',
	warn: 'var(--warn-color-high, currentColor)',
	bad: 'var(--error-color-high, currentColor)',
	calm: 'currentColor',
};

const accent = 'var(--primary-color-high, currentColor)';

function svg(tag, attributes, children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [ name, value ] of Object.entries(attributes))
		if (value !== null)
			node.setAttribute(name, value);
	for (const child of children ?? [])
		node.append(child);
	return node;
}

function text(x, y, content, more) {
	return svg('text', { x, y, fill: 'currentColor', 'font-size': 12, ...more }, [ content ]);
}

/* How many letters of 12 px fit into a box. */
const fits = width => Math.floor((width - 10) / 6.4);

function box(b) {
	const sign = words.sign(b.tone);
	const lines = b.lines.slice(0, 3);
	const top = b.y + b.h / 2 - lines.length * 7.5;
	return svg('g', { 'data-part': b.id ?? null, 'data-tone': b.tone }, [
		svg('title', {}, [ [ b.title, ...b.lines ].join(', ') ]),
		svg('rect', { x: b.x, y: b.y, width: b.w, height: b.h, rx: 6, fill: 'none', stroke: ink[b.tone], 'stroke-width': b.tone == 'calm' ? 1 : 2, 'stroke-opacity': b.tone == 'calm' ? .5 : 1 }),
		text(b.x + b.w / 2, top + 4, `${sign} ${format.cut(b.title, fits(b.w) - 2)}`.trim(), { 'text-anchor': 'middle', 'font-weight': 'bold' }),
		...lines.map((line, i) => text(b.x + b.w / 2, top + 20 + i * 15, format.cut(line, fits(b.w)), { 'text-anchor': 'middle' })),
	]);
}

function line(l) {
	const parts = [ svg('line', {
		x1: l.x1, y1: l.y1, x2: l.x2, y2: l.y2, stroke: ink[l.tone], 'stroke-width': l.used ? 3 : 1.5,
		'stroke-dasharray': l.used ? null : '4 4', 'stroke-opacity': l.tone == 'calm' ? .5 : 1,
	}) ];
	if (l.tone == 'bad')
		parts.push(text((l.x1 + l.x2) / 2, (l.y1 + l.y2) / 2 + 6, '✖', { 'text-anchor': 'middle', 'font-size': 18, fill: ink.bad }));
	return svg('g', {}, parts);
}

return baseclass.extend({
	svg,
	text,
	ink,

	/* A drawing of boxes and lines. It shrinks with its column and never grows:
	   its height is fixed and its sides keep their proportion. */
	picture(p, label) {
		return svg('svg', { viewBox: `0 0 ${p.width} ${p.height}`, width: '100%', height: p.height, preserveAspectRatio: 'xMinYMin meet', role: 'img', 'aria-label': `${label}: ${p.text}` },
			[ ...p.lines.map(line), ...p.boxes.map(box) ]);
	},

	/* A chart that remsim.chart laid out, on a width × height canvas. */
	chart(c, width, height, label, value, time) {
		return svg('svg', { viewBox: `0 0 ${width} ${height}`, width: '100%', height, preserveAspectRatio: 'xMinYMin meet', role: 'img', 'aria-label': label }, [
			svg('title', {}, [ label ]),
			...c.rows.flatMap(row => [
				svg('line', { x1: c.left, x2: c.right, y1: row.y, y2: row.y, stroke: 'currentColor', 'stroke-opacity': .15 }),
				text(c.left - 6, row.y + 4, value(row.value), { 'text-anchor': 'end', 'font-size': 11 }),
			]),
			...c.columns.flatMap(column => [
				svg('line', { x1: column.x, x2: column.x, y1: c.top, y2: c.bottom, stroke: 'currentColor', 'stroke-opacity': .15 }),
				text(column.x, c.bottom + 16, time(column.time), { 'text-anchor': 'middle', 'font-size': 11 }),
			]),
			...c.bands.map(d => svg('path', { d, fill: accent, 'fill-opacity': .2 })),
			...c.lines.map(d => svg('path', { d, fill: 'none', stroke: accent, 'stroke-width': 1.5 })),
		]);
	},

	/* Lanes of remsim.timeline between from and to. */
	timeline(lanes, from, to, columns, width, time) {
		const high = lanes.length * 44 + 24, left = 4, span = width - 8;
		const x = t => left + (t - from) / (to - from) * span;
		const label = lanes.map(lane => `${lane.title}: ${lane.spans.map(s => `${time(s.from)} ${s.label}`).join(', ')}`).join('; ');
		return svg('svg', { viewBox: `0 0 ${width} ${high}`, width: '100%', height: high, preserveAspectRatio: 'xMinYMin meet', role: 'img', 'aria-label': label }, [
			...lanes.flatMap((lane, i) => [
				text(left, i * 44 + 12, lane.title, { 'font-weight': 'bold' }),
				...lane.spans.map(s => {
					const wide = Math.max(2, x(s.to) - x(s.from));
					return svg('g', { 'data-tone': s.tone }, [
						svg('title', {}, [ `${time(s.from)} – ${time(s.to)}: ${s.label}. ${s.text}` ]),
						svg('rect', { x: x(s.from), y: i * 44 + 18, width: wide, height: 20, fill: ink[s.tone], 'fill-opacity': s.tone == 'calm' ? .15 : .35, stroke: ink[s.tone] }),
						wide > 40 ? text(x(s.from) + 4, i * 44 + 32, format.cut(`${words.sign(s.tone)} ${s.label}`, fits(wide)), { 'font-size': 11 }) : '',
					]);
				}),
			]),
			...columns.flatMap(t => [
				svg('line', { x1: x(t), x2: x(t), y1: 0, y2: high - 18, stroke: 'currentColor', 'stroke-opacity': .15 }),
				text(x(t), high - 6, time(t), { 'text-anchor': 'middle', 'font-size': 11 }),
			]),
		]);
	},

	/* Signal bars, 0 to 4. */
	bars(n) {
		const label = n === null ? _('signal not measured') : _('signal %d of 4').format(n);
		return svg('svg', { viewBox: '0 0 22 16', width: 22, height: 16, role: 'img', 'aria-label': label }, [
			svg('title', {}, [ label ]),
			...[ 0, 1, 2, 3 ].map(i => svg('rect', { x: 1 + i * 5, y: 12 - i * 4, width: 4, height: 4 + i * 4, fill: 'currentColor', 'fill-opacity': i < n ? 1 : .2 })),
		]);
	},
});
