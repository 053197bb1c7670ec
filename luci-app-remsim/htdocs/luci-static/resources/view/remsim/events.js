'use strict';
'require view';
'require dom';
'require remsim.api as api';
'require remsim.format as format';
'require remsim.live as live';
'require remsim.table as table';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* The journal, newest first, as it grows. */

const kept = 500; /* as many as the daemon keeps */
const kinds = [ 'daemon', 'config', 'state', 'server', 'bank', 'assignment', 'front', 'card', 'command', 'finding', 'modem', 'card_switch', 'reset', 'link', 'failover', 'budget', 'ionmesh', 'task' ];

return view.extend({
	fetch() {
		return api.events(this.events.at(-1)?.id ?? 0, kept).then(news => {
			if (!news.length && this.drawn)
				return;
			/* A repetition comes back under a new number with a higher count. */
			const repeated = new Set(news.filter(e => e.count > 1).map(e => `${e.kind}\n${e.subject}\n${e.text}`));
			const old = this.events.filter(e => !repeated.has(`${e.kind}\n${e.subject}\n${e.text}`));
			this.events = [ ...old, ...news ].slice(-kept);
			this.paint();
		}, () => {}); /* the page's own notice says what is wrong */
	},

	shown() {
		return this.events.filter(e => !this.kind || e.kind == this.kind);
	},

	paint() {
		this.drawn = true;
		dom.content(this.list, [ widgets.table([ _('When'), _('Kind'), _('About'), _('What happened') ], this.shown().reverse().map(e => [
			[ E('span', { 'title': format.time(e.time) }, [ format.time(e.time) ]) ],
			words.kind(e.kind).label, e.subject,
			e.count > 1 ? _('%s (%d times)').format(e.text, e.count) : e.text,
		]), _('Nothing of this kind happened yet.')) ]);
	},

	export(kind) {
		const rows = this.shown();
		const text = kind == 'csv'
			? table.csv([ 'id', 'time', 'kind', 'subject', 'text', 'count' ], rows.map(e => [ e.id, e.time, e.kind, e.subject, e.text, e.count ]))
			: table.json(rows);
		widgets.save(table.name('events', live.now(), kind), kind == 'csv' ? 'text/csv' : 'application/json', text);
	},

	render() {
		Object.assign(this, { events: [], kind: '', drawn: false, list: E('div', { 'id': 'remsim-events' }, []) });
		return E('div', {}, [
			E('h2', {}, [ _('Events') ]),
			E('p', {}, [
				widgets.select([ [ '', _('All kinds') ], ...kinds.map(k => [ k, words.kind(k).label ]) ], '', kind => { this.kind = kind; this.paint(); }, _('Kind')), ' ',
				...[ 'csv', 'json' ].flatMap(kind => [ widgets.button(_('Export %s').format(kind.toUpperCase()), 'neutral', true, () => this.export(kind)), ' ' ]),
			]),
			...live.page([], () => this.fetch()),
			this.list,
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
