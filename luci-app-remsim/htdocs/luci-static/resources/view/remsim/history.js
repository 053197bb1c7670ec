'use strict';
'require view';
'require dom';
'require poll';
'require remsim.api as api';
'require remsim.chart as chart';
'require remsim.draw as draw';
'require remsim.format as format';
'require remsim.live as live';
'require remsim.table as table';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* Signal, round trip, loss and bytes of a modem or link over time. */

const metrics = {
	modem: [ 'rsrp', 'rssi', 'rsrq', 'sinr', 'quality' ],
	link: [ 'rtt', 'loss', 'rx', 'tx' ],
};

const every = 30; /* seconds; the finest step of the daemon is 10 s */

function value(unit, v) {
	return unit == 'bytes/s' ? `${format.bytes(v)}/s` : `${Math.round(v * 10) / 10} ${unit}`;
}

return view.extend({
	/* Modems and links have histories of their own; one name may be both. */
	subjects(status) {
		return [
			...status.modems.map(m => [ `modem ${m.name}`, _('Modem %s').format(m.name) ]),
			...status.links.map(l => [ `link ${l.name}`, _('Link %s').format(l.name) ]),
		];
	},

	choose(data) {
		if (!data.length)
			return [ widgets.alert('calm', null, [ _('There is no modem and no link to measure yet.') ]) ];
		this.chosen ??= data[0][0];
		return [ E('p', {}, [
			widgets.select(data, this.chosen, v => { this.chosen = v; this.fetch(); }, _('Modem or link')), ' ',
			widgets.select([ [ '1h', _('1 hour') ], [ '6h', _('6 hours') ], [ '24h', _('24 hours') ], [ '7d', _('7 days') ] ], this.span, v => { this.span = v; this.fetch(); }, _('Time span')), ' ',
			...[ 'csv', 'json' ].flatMap(kind => [ widgets.button(_('Export %s').format(kind.toUpperCase()), 'neutral', true, () => this.export(kind)), ' ' ]),
		]) ];
	},

	fetch() {
		if (!this.chosen)
			return Promise.resolve();
		const [ kind, subject ] = this.chosen.split(' '), wanted = `${this.chosen} ${this.span}`;
		return Promise.all(metrics[kind].map(metric => L.resolveDefault(api.history(metric, subject, this.span), null))).then(series => {
			if (wanted != `${this.chosen} ${this.span}`)
				return; /* something else was chosen meanwhile */
			this.series = series.filter(s => s?.points?.length);
			this.paint();
		});
	},

	paint() {
		const to = live.now(), from = to - chart.spans[this.span];
		const width = live.small() ? 340 : 760, height = 170;
		const time = this.span == '7d' ? t => new Date(t * 1000).toLocaleDateString([], { weekday: 'short', day: 'numeric' }) : format.clock;
		dom.content(this.charts, this.series.length ? this.series.map(s => {
			const title = words.metric(s.metric).label;
			const c = chart.lay({ points: s.points, from, to, step: s.step_s, width, height, zone: -new Date().getTimezoneOffset() * 60 });
			if (!c)
				return '';
			const said = _('now %s, lowest %s, highest %s').format(value(s.unit, c.last[2]), value(s.unit, c.least), value(s.unit, c.most));
			return widgets.section(title, [ draw.chart(c, width, height, `${title}: ${said}`, v => value(s.unit, v), time), E('p', {}, [ said ]) ]);
		}) : [ E('p', {}, [ E('em', {}, [ _('Nothing has been measured in this time. A modem measures while it is switched on; a link while it carries traffic or is probed.') ]) ]) ]);
	},

	export(kind) {
		const rows = this.series.flatMap(s => s.points.map(p => [ s.metric, s.subject, s.unit, ...p ]));
		const text = kind == 'csv' ? table.csv([ 'metric', 'subject', 'unit', 'time', 'min', 'avg', 'max' ], rows) : table.json(this.series);
		widgets.save(table.name(`history-${this.chosen}-${this.span}`, live.now(), kind), kind == 'csv' ? 'text/csv' : 'application/json', text);
	},

	render() {
		Object.assign(this, { span: '1h', chosen: null, series: [], charts: E('div', {}, []) });
		let first = true;
		poll.add(() => this.fetch(), every);
		return E('div', {}, [
			E('h2', {}, [ _('History') ]),
			...live.page([ { id: 'subjects', select: s => this.subjects(s), draw: data => this.choose(data) } ], () => first && (first = false, this.fetch())),
			this.charts,
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
