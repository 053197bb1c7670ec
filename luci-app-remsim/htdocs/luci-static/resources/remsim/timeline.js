'use strict';
'require baseclass';
'require remsim.words as words';

/* The journal as lanes of a picture: what was so from when to when. Pure. */

/* The stamps of one failover in the order in which they are expected; the
   data of a journal entry of kind `failover` hold NAME_ms after the first. */
const stamps = [ 'last_good', 'detect', 'decide', 'route', 'control_up', 'card_ready', 'registered', 'bearer_up', 'first_byte' ];

function link(name) {
	return { value: name, label: name || _('none'), tone: name ? 'good' : 'bad' };
}

/* A state entry reads "STATE: reason". */
function state(entry) {
	const word = entry.text.split(':')[0];
	return { value: word, ...words.state(word) };
}

/* Milliseconds from a failover's first stamp to its last one. */
function length(data) {
	return Math.max(0, ...stamps.map(name => Number(data[`${name}_ms`] ?? 0)));
}

/* Adds a span that ends the one before it. */
function add(spans, from, to, what, text) {
	const before = spans.at(-1);
	if (before?.value === what.value)
		return;
	if (before)
		before.to = from;
	spans.push({ from, to, ...what, text });
}

return baseclass.extend({
	titles() {
		return { state: _('Remote SIM'), data: _('User traffic'), control: _('Control traffic') };
	},

	/* Lanes between from and to, the page's now. A role's lane begins with the
	   link that the first failover left, at the daemon's start; without any, with
	   what is so now. What is not known stays empty. */
	lanes(events, from, to, status) {
		const lanes = { state: [], data: [], control: [] };
		const born = Math.max(from, (status.time || to) - (status.uptime_s || 0));
		for (const entry of [ ...events ].sort((a, b) => a.id - b.id)) {
			if (entry.time > to)
				continue;
			if (entry.kind == 'state') {
				add(lanes.state, entry.time, to, state(entry), entry.text);
			} else if (entry.kind == 'failover' && lanes[entry.data?.role]) {
				const spans = lanes[entry.data.role], at = entry.time - Math.round(length(entry.data) / 1000);
				if (!spans.length)
					add(spans, Math.min(born, at), to, link(entry.data.from ?? ''), '');
				add(spans, at, to, link(entry.data.to ?? ''), entry.text);
			}
		}
		for (const role of [ 'data', 'control' ])
			if (!lanes[role].length && status.failover[role])
				add(lanes[role], Math.max(born, status.failover.since || 0), to, link(status.failover[role]), status.failover.reason ?? '');
		if (!lanes.state.length && status.state)
			add(lanes.state, born, to, { value: status.state, ...words.state(status.state) }, status.reason);
		return Object.entries(this.titles()).map(([ name, title ]) => ({
			name, title,
			spans: lanes[name].filter(span => span.to > from).map(span => ({ ...span, from: Math.max(span.from, from) })),
		})).filter(lane => lane.spans.length);
	},

	/* Failovers as rows, newest first: what moved, why, and how long it took. */
	moves(events) {
		return events.filter(e => e.kind == 'failover' && e.data?.role).map(e => ({
			id: e.id, time: e.time, role: e.data.role, from: e.data.from ?? '', to: e.data.to ?? '', reason: e.data.reason ?? '',
			stamps: stamps.filter(name => e.data[`${name}_ms`] !== undefined).map(name => ({ name, ms: Number(e.data[`${name}_ms`]) })),
			ms: length(e.data),
		})).sort((a, b) => b.id - a.id);
	},

	stamp(name) {
		return {
			last_good: _('last good'), detect: _('noticed'), decide: _('decided'), route: _('routes set'), control_up: _('control back'),
			card_ready: _('card ready'), registered: _('registered'), bearer_up: _('link up'), first_byte: _('first answer'),
		}[name] ?? name;
	},
});
