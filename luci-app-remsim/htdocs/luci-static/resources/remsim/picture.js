'use strict';
'require baseclass';
'require remsim.words as words';
'require remsim.model as model';
'require remsim.format as format';

/* Where boxes and lines of the drawings stand. Pure: remsim.draw makes SVG of
   it. A box is { x y w h title lines tone }, a line { x1 y1 x2 y2 tone used }.
   Wide drawings run from left to right, narrow ones from top to bottom. */

const wide = { w: 150, h: 74, gapX: 44, gapY: 18, pad: 6 };
const narrow = { w: 106, h: 74, gapX: 8, gapY: 34, pad: 4 };

function size(boxes, pad) {
	return {
		width: Math.max(...boxes.map(b => b.x + b.w)) + pad,
		height: Math.max(...boxes.map(b => b.y + b.h)) + pad,
	};
}

/* Joins the near sides of two boxes. */
function join(a, b, down, tone, used) {
	return down
		? { x1: a.x + a.w / 2, y1: a.y + a.h, x2: b.x + b.w / 2, y2: b.y, tone, used }
		: { x1: a.x + a.w, y1: a.y + a.h / 2, x2: b.x, y2: b.y + b.h / 2, tone, used };
}

/* The words of one part of a card's chain. */
function part(id, modem, session) {
	const s = session;
	switch (id) {
	case 'modem':
		return [ modem.name, [ `${modem.manufacturer ?? ''} ${modem.model ?? ''}`.trim(), words.modem(modem.state).label ] ];
	case 'front':
		return [ _('Card front'), [ words.front(modem.card.front).label ] ];
	case 'server':
		return [ _('RSPRO server'), [ s.server.address, words.peer(s.server.state).label ] ];
	case 'bank':
		return [ _('SIM bank'), s?.bank
			? [ s.bankd.address, words.peer(s.bankd.state).label ]
			: [ _('no slot assigned') ] ];
	default:
		return [ _('Card'), [ s?.bank ? _('bank %d slot %d').format(s.bank.id, s.bank.slot) : '', words.card(modem.card.state).label, modem.card.iccid ? `ICCID ${modem.card.iccid}` : '' ] ];
	}
}

/* Places boxes one after the other. */
function row(parts, down) {
	const m = down ? { ...narrow, w: 320, gapY: 22 } : wide;
	return parts.map((p, i) => ({
		...p, w: m.w, h: m.h,
		x: m.pad + (down ? 0 : i * (m.w + m.gapX)),
		y: m.pad + (down ? i * (m.h + m.gapY) : 0),
	}));
}

/* One layer of a drawing of paths, centred on the longest layer. */
function layer(parts, index, longest, m, down) {
	const along = down ? m.w + m.gapX : m.h + m.gapY;
	const across = down ? m.h + m.gapY : m.w + m.gapX;
	const offset = (longest - parts.length) * along / 2;
	return parts.map((p, i) => ({
		...p, w: m.w, h: m.h,
		x: m.pad + (down ? offset + i * along : index * across),
		y: m.pad + (down ? index * across : offset + i * along),
	}));
}

function linkTone(l) {
	return l.usable ? 'good' : l.up ? 'warn' : 'bad';
}

function linkLines(l) {
	const measured = [ Number.isFinite(l.rtt_ms) ? format.number(l.rtt_ms, 'ms') : '', l.loss > 0 ? _('%d %% loss').format(l.loss * 100) : '' ].filter(Boolean).join(', ');
	return [ words.linkRole(l.role ?? 'none').label, l.usable ? measured : l.up ? _('not usable') : _('down') ].filter(Boolean);
}

return baseclass.extend({
	/* From the modem to its card in the bank, and where that breaks. */
	card(status, modem, down) {
		const { parts, session, breaks } = model.chain(status, modem);
		const boxes = row(parts.map(p => {
			const [ title, lines ] = part(p.id, modem, session);
			return { id: p.id, tone: p.tone, title, lines: lines.filter(Boolean) };
		}), down);
		const lines = boxes.slice(1).map((b, i) => join(boxes[i], b, down, b.tone, b.tone == 'good' || b.tone == 'warn'));
		return { ...size(boxes, 6), boxes, lines, breaks, text: this.spoken(boxes) };
	},

	/* This router, its links, and what travels over which. */
	paths(status, down) {
		const m = down ? narrow : wide;
		const links = model.links(status).slice(0, down ? 3 : 6);
		if (!links.length)
			return null;
		const ends = [
			{ id: 'data', title: _('Internet'), lines: [ _('user traffic') ], tone: status.failover.data ? 'good' : 'calm' },
			{ id: 'control', title: _('SIM bank'), lines: [ _('control traffic') ], tone: status.failover.control ? 'good' : 'calm' },
		];
		const longest = Math.max(links.length, ends.length);
		const [ router ] = layer([ { id: 'router', title: status.device_id || _('This router'), lines: [], tone: 'calm' } ], 0, longest, m, down);
		const middle = layer(links.map(l => ({ id: l.name, title: l.name, lines: linkLines(l), tone: linkTone(l) })), 1, longest, m, down);
		const far = layer(ends, 2, longest, m, down);
		const lines = [];
		links.forEach((l, i) => {
			lines.push(join(router, middle[i], down, linkTone(l), l.role && l.role != 'none'));
			ends.forEach((end, k) => {
				if (l.role == end.id || l.role == 'both')
					lines.push(join(middle[i], far[k], down, linkTone(l), true));
			});
		});
		const boxes = [ router, ...middle, ...far ];
		return { ...size(boxes, m.pad), boxes, lines, breaks: null, text: this.spoken(boxes) };
	},

	/* The drawing in words, for those who cannot see it. */
	spoken(boxes) {
		return boxes.map(b => [ b.title, ...b.lines ].join(', ')).join('; ');
	},
});
