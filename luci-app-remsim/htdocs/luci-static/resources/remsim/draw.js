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

	/* Signal bars, 0 to 4. */
	bars(n) {
		const label = n === null ? _('signal not measured') : _('signal %d of 4').format(n);
		return svg('svg', { viewBox: '0 0 22 16', width: 22, height: 16, role: 'img', 'aria-label': label }, [
			svg('title', {}, [ label ]),
			...[ 0, 1, 2, 3 ].map(i => svg('rect', { x: 1 + i * 5, y: 12 - i * 4, width: 4, height: 4 + i * 4, fill: 'currentColor', 'fill-opacity': i < n ? 1 : .2 })),
		]);
	},
});
