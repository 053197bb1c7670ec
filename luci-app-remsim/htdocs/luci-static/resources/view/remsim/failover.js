'use strict';
'require view';
'require dom';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.chart as chart';
'require remsim.draw as draw';
'require remsim.format as format';
'require remsim.live as live';
'require remsim.model as model';
'require remsim.picture as picture';
'require remsim.table as table';
'require remsim.timeline as timeline';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* Which link carries what, why, and how that changed. */

const kinds = [ 'state', 'failover' ];

function now(data, status) {
	const p = picture.paths(status, live.small());
	const f = status.failover;
	if (!p)
		return [ widgets.alert('calm', null, [ _('No links are known: connections follow the router\'s own routes. Give the modems their interfaces, or add links, under Settings.') ]) ];
	return [
		draw.picture(p, _('The paths of this router')),
		widgets.facts([
			[ _('User traffic'), f.data || _('none') ],
			[ _('Control traffic'), f.control || _('none') ],
			[ _('Why'), f.reason ],
			[ _('Since'), f.since ? [ widgets.ago(f.since, live.now()) ] : '' ],
			[ _('The card is held for another'), f.grace_left_s > 0 ? format.duration(f.grace_left_s) : '' ],
			[ _('Switches since the start'), f.switches ?? 0 ],
		]),
	];
}

function candidates(list) {
	if (!list.length)
		return [];
	return [ widgets.section(_('Candidates'), [ widgets.table([ _('Traffic'), _('Link'), _('Usable'), _('Why') ], list.map(c => [
		words.linkRole(c.role).label, c.link,
		[ widgets.badge({ label: c.usable ? _('yes') : _('no'), tone: c.usable ? 'good' : 'bad' }) ],
		c.reason,
	])) ]) ];
}

function links(list) {
	if (!list.length)
		return [];
	return [ widgets.section(_('Links'), [ widgets.table([ _('Link'), _('Usable'), _('Traffic'), _('Why'), _('Since'), _('Round trip'), _('Loss'), _('Received'), _('Sent') ], list.map(l => [
		[ E('strong', {}, [ l.name ]), l.device ? ` ${l.device}` : '' ],
		[ widgets.badge({ label: l.usable ? _('yes') : l.up ? _('no') : _('down'), tone: l.usable ? 'good' : 'bad' }) ],
		words.linkRole(l.role ?? 'none').label, l.reason,
		[ l.since ? widgets.ago(l.since, live.now()) : '–' ],
		format.number(l.rtt_ms, 'ms'), Number.isFinite(l.loss) ? `${Math.round(l.loss * 100)} %` : '–',
		format.bytes(l.rx_bytes), format.bytes(l.tx_bytes),
	])) ]) ];
}

function moves(events) {
	return widgets.table([ _('When'), _('Traffic'), _('From'), _('To'), _('Why'), _('How long') ], timeline.moves(events).slice(0, 20).map(m => [
		[ widgets.ago(m.time, live.now()) ], words.linkRole(m.role).label, m.from, m.to, m.reason,
		m.stamps.map(s => `${timeline.stamp(s.name)} +${s.ms} ms`).join(', '),
	]), _('Traffic has not moved since the daemon started.'));
}

return view.extend({
	load() { return api.rights(); },

	actions(data, status) {
		const may = this.rights.operate;
		if (!status.links.length)
			return [];
		let role = 'data', link = status.links[0].name;
		const roles = widgets.select([ 'data', 'control' ].map(r => [ r, words.linkRole(r).label ]), role, v => { role = v; }, _('Traffic'));
		const links = widgets.select(status.links.map(l => [ l.name, l.name ]), link, v => { link = v; }, _('Link'));
		roles.disabled = links.disabled = !may;
		const warning = _('Connections over the former link break off and are made anew. The choice holds until you give it back.');
		return [ widgets.section(_('Switch by hand'), [
			roles, ' ', links, ' ',
			widgets.button(_('Switch'), 'action', may, () => action.run(_('Switch'), warning, () => api.switch(role, link))), ' ',
			widgets.button(_('Give back'), 'neutral', may, () => action.run(_('Give back'), null, () => api.switch(role, 'auto'))),
		]) ];
	},

	history(status) {
		return Promise.all(kinds.map(kind => api.events(0, 500, kind))).then(lists => {
			this.events = lists.flat();
			this.picture(status);
		}, () => {}); /* the page's own notice says what is wrong */
	},

	picture(status) {
		const to = live.now(), from = to - chart.spans[this.span];
		const lanes = timeline.lanes(this.events, from, to, status);
		const width = live.small() ? 340 : 760;
		const columns = chart.times(from, to, live.small() ? 4 : 8, -new Date().getTimezoneOffset() * 60);
		dom.content(this.lanes, [ draw.timeline(lanes, from, to, columns, width, format.clock), moves(this.events) ]);
	},

	export(kind) {
		const rows = timeline.moves(this.events);
		const text = kind == 'csv'
			? table.csv([ 'time', 'role', 'from', 'to', 'ms', 'reason' ], rows.map(m => [ m.time, m.role, m.from, m.to, m.ms, m.reason ]))
			: table.json(this.events);
		widgets.save(table.name('failover', live.now(), kind), kind == 'csv' ? 'text/csv' : 'application/json', text);
	},

	render(rights) {
		Object.assign(this, { rights, span: '1h', events: [], lanes: E('div', {}, []) });
		const spans = widgets.select(Object.keys(chart.spans).map(s => [ s, s ]), this.span, s => {
			this.span = s;
			if (live.state)
				this.picture(live.state);
		}, _('Time span'));
		const [ notice, paths, list, all, actions ] = live.page([
			{ id: 'paths', select: s => [ s.links, s.failover ], draw: now },
			{ id: 'candidates', select: s => s.failover.candidates, draw: candidates },
			{ id: 'links', select: s => model.links(s), draw: links },
			{ id: 'switch', select: s => s.links.map(l => l.name), draw: (d, s) => this.actions(d, s) },
		], status => this.history(status));
		return E('div', {}, [
			E('h2', {}, [ _('Failover') ]),
			widgets.readOnly(rights.operate), notice, paths, actions, all, list,
			widgets.section(_('What happened'), [
				spans, ' ',
				...[ 'csv', 'json' ].flatMap(kind => [ widgets.button(_('Export %s').format(kind.toUpperCase()), 'neutral', true, () => this.export(kind)), ' ' ]),
				this.lanes,
			]),
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
