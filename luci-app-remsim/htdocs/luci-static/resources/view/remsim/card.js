'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.draw as draw';
'require remsim.format as format';
'require remsim.live as live';
'require remsim.model as model';
'require remsim.picture as picture';
'require remsim.table as table';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* The card of one modem: where it is, what can be done with it, what passes
   between modem and card. */

const kept = 500; /* rows of a trace that the page holds */
const pace = 1;   /* seconds between looks at a trace: commands that change no state announce nothing */

function facts(m, s, ionmesh) {
	const t = s?.tpdu;
	return widgets.facts([
		[ _('Card'), [ words.source(m.card.source).label, ' ', widgets.badge(words.card(m.card.state)) ] ],
		[ _('ICCID'), m.card.iccid ],
		[ _('Answer to reset'), m.card.atr ],
		[ _('Front'), words.front(m.card.front).label ],
		[ _('RSPRO client'), s?.client ? _('client %d slot %d').format(s.client.id, s.client.slot) : '' ],
		[ _('Bank slot'), s?.bank ? _('bank %d slot %d').format(s.bank.id, s.bank.slot) : _('none assigned') ],
		[ _('Server'), s?.server.address ? [ s.server.address, ' ', widgets.badge(words.peer(s.server.state)), s.server.tls ? '' : ` ${_('clear text')}`, s.server.reason ? ` ${s.server.reason}` : '' ] : '' ],
		[ _('Bank'), s?.bankd.address ? [ s.bankd.address, ' ', widgets.badge(words.peer(s.bankd.state)), s.bankd.tls ? '' : ` ${_('clear text')}`, s.bankd.reason ? ` ${s.bankd.reason}` : '' ] : '' ],
		[ _('Lease'), ionmesh.lease ? _('until %s').format(format.time(ionmesh.lease.until)) : '' ],
		[ _('Commands'), t ? _('%d sent, %d answered, %d errors, %d answered here').format(t.sent ?? 0, t.received ?? 0, t.errors ?? 0, t.cached ?? 0) : '' ],
		[ _('Round trip'), t?.rtt_p50_ms ? _('%s usually, %s at worst').format(format.number(t.rtt_p50_ms, 'ms', 1), format.number(t.rtt_p99_ms, 'ms', 1)) : '' ],
	]);
}

return view.extend({
	load() { return api.rights(); },

	/* Which modem the page shows: the one asked for, else the first with a
	   remote card, else the first. */
	shown(status) {
		return model.modem(status, this.name) ?? model.remote(status)[0] ?? status.modems[0];
	},

	pick(data, status) {
		if (status.modems.length < 2)
			return [];
		return [ E('p', {}, [ _('Modem'), ' ', widgets.select(status.modems.map(m => [ m.name, m.name ]), this.shown(status).name, name => {
			this.name = name;
			this.apdus = [];
			live.paint(true);
			this.follow();
		}, _('Modem')) ]) ];
	},

	draw(data, status) {
		const m = this.shown(status);
		if (!m)
			return [ widgets.alert('calm', _('No modem is set up yet.'), []) ];
		return [
			m.card.source == 'remote' ? draw.picture(picture.card(status, m, live.small()), _('From the modem to its card')) : '',
			m.card.detail ? E('p', {}, [ m.card.detail ]) : '',
			facts(m, model.session(status, m.name), status.ionmesh),
		];
	},

	actions(data, status) {
		const m = this.shown(status), may = this.rights.operate;
		if (!m)
			return [];
		const remote = m.card.source == 'remote';
		const other = remote ? 'local' : 'remote';
		const title = remote ? _('Use the local card') : _('Use the remote card');
		const pause = _('The modem changes its card: its link is down for 10 to 60 seconds.');
		return [ widgets.section(_('Actions'), [
			widgets.button(title, 'action', may, () => action.run(title, pause, () => api.sim(m.name, other))), ' ',
			...(remote ? [
				widgets.button(_('Assign a bank slot…'), 'neutral', may, () => this.map(m, model.session(status, m.name))), ' ',
				widgets.button(_('Take the card away'), 'negative', may, () => action.run(_('Take the card away'),
					_('The modem loses its card and its link until a slot is assigned anew.'), () => api.unmap(m.name))), ' ',
			] : []),
			E('h4', { 'role': 'heading', 'aria-level': 4 }, [ _('Test this card') ]),
			...[ [ 'card', _('Card') ], [ 'bank', _('Bank') ], [ 'server', _('Server') ] ].flatMap(([ target, label ]) => [
				widgets.button(_('Test: %s').format(label), 'neutral', may, () => action.test(this.result, () => api.test(target, m.name))), ' ' ]),
			this.result,
		]) ];
	},

	map(m, s) {
		const field = (label, value, type) => E('input', { 'class': 'cbi-input-text', 'type': type, 'min': 0, 'aria-label': label, 'value': value });
		const [ host, port ] = [ field(_('Address of the bank'), s?.bankd.address?.replace(/:\d+$/, '') ?? '', 'text'), field(_('Port'), s?.bankd.address?.match(/:(\d+)$/)?.[1] ?? 9999, 'number') ];
		const [ bank, slot ] = [ field(_('Bank'), s?.bank?.id ?? 1, 'number'), field(_('Slot'), s?.bank?.slot ?? 0, 'number') ];
		const row = (label, input) => E('div', { 'class': 'cbi-value' }, [ E('label', { 'class': 'cbi-value-title' }, [ label ]), E('div', { 'class': 'cbi-value-field' }, [ input ]) ]);
		ui.showModal([ _('Assign a bank slot to %s').format(m.name) ], [
			row(_('Address of the bank'), host), row(_('Port'), port), row(_('Bank'), bank), row(_('Slot'), slot),
			E('p', {}, [ _('It holds until another assignment or a restart of remsim. The modem sees its card go and another one come.') ]),
			E('div', { 'class': 'button-row right' }, [
				E('button', { 'type': 'button', 'class': 'btn', 'click': () => ui.hideModal() }, [ _('Cancel') ]), ' ',
				E('button', { 'type': 'button', 'class': 'btn cbi-button-action important', 'data-confirm': '', 'click': () => action.run(_('Assign the slot'), null,
					() => api.map(m.name, host.value, Number(port.value), Number(bank.value), Number(slot.value))) }, [ _('Assign the slot') ]),
			]),
		]);
	},

	/* The trace: asked for while tracing is on. */
	follow() {
		const m = live.state && this.shown(live.state);
		if (!m || !this.rights.operate || !this.on)
			return Promise.resolve();
		return api.trace(m.name, this.apdus.at(-1)?.id ?? 0, 200).then(news => {
			if (!news.length)
				return;
			this.apdus = [ ...this.apdus, ...news.filter(a => a.modem == m.name) ].slice(-kept);
			this.rows();
		}, error => dom.content(this.list, [ widgets.alert('bad', null, [ error.message ]) ]));
	},

	rows() {
		const longest = Math.max(1, ...this.apdus.map(a => a.ms));
		dom.content(this.list, [ widgets.table([ _('Time'), _('Command'), _('Answer'), _('Took') ], [ ...this.apdus ].reverse().map(a => [
			format.time(a.time),
			[ E('strong', {}, [ a.name ]), E('br'), E('code', {}, [ format.cut(a.command, 60) ]) ],
			[ a.status, ...(a.response ? [ E('br'), E('code', {}, [ format.cut(a.response, 60) ]) ] : []) ],
			[ format.number(a.ms, 'ms', 1), E('br'), draw.svg('svg', { width: 80, height: 6, 'aria-hidden': 'true' }, [ draw.svg('rect', { width: Math.max(1, 80 * a.ms / longest), height: 6, fill: 'currentColor', 'fill-opacity': .5 }) ]) ],
		]), _('No command since tracing began.')) ]);
	},

	tracing() {
		const may = this.rights.operate;
		const title = this.on ? _('Stop tracing') : _('Start tracing');
		return [ widgets.section(_('What passes between modem and card'), [
			E('p', {}, [ _('Keys, random numbers and identities are hidden by the router before they come here.') ]),
			widgets.button(title, this.on ? 'negative' : 'action', may, () => {
				const m = this.shown(live.state);
				return api.tracing(m.name, !this.on).then(() => {
					this.on = !this.on;
					if (this.on)
						poll.add(this.look, pace);
					else
						poll.remove(this.look);
					live.refresh('trace');
					return this.follow();
				}, error => action.tell('error', error.message));
			}), ' ',
			...[ 'csv', 'json' ].flatMap(kind => [ widgets.button(_('Export %s').format(kind.toUpperCase()), 'neutral', true, () => this.export(kind)), ' ' ]),
			this.list,
		]) ];
	},

	export(kind) {
		const keys = [ 'id', 'time', 'modem', 'ms', 'command', 'name', 'response', 'status' ];
		const text = kind == 'csv' ? table.csv(keys, this.apdus.map(a => keys.map(k => a[k]))) : table.json(this.apdus);
		widgets.save(table.name('trace', live.now(), kind), kind == 'csv' ? 'text/csv' : 'application/json', text);
	},

	render(rights) {
		this.look = () => this.follow();
		Object.assign(this, { rights, on: false, apdus: [], result: E('div', { 'aria-live': 'polite' }, []), list: E('div', {}, []) });
		/* Not the counters: commands alone draw only the facts anew. */
		const still = s => [ this.name, s.modems.map(m => [ m.name, m.card.source ]), s.sessions.map(x => [ x.bank, x.bankd.address ]) ];
		return E('div', {}, [
			E('h2', {}, [ _('Card') ]),
			widgets.readOnly(rights.operate),
			...live.page([
				{ id: 'pick', select: s => s.modems.map(m => m.name), draw: (d, s) => this.pick(d, s) },
				{ id: 'card', select: s => [ s.modems, s.sessions, s.ionmesh.lease ], draw: (d, s) => this.draw(d, s) },
				{ id: 'actions', select: still, draw: (d, s) => this.actions(d, s) },
				{ id: 'trace', select: () => null, draw: () => this.tracing() },
			]),
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
