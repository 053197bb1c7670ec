'use strict';
'require view';
'require ui';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.draw as draw';
'require remsim.live as live';
'require remsim.model as model';
'require remsim.modemcard as modemcard';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* Every modem with all that is known of it, and what can be done to it. */

const lines = [ 'sim', 'reset', 'power' ];

function facts(m) {
	return widgets.facts([
		[ _('State'), [ widgets.badge(words.modem(m.state)) ] ],
		[ _('Used for'), words.role(m.role).label ],
		[ _('Device'), [ m.manufacturer, m.model, m.revision ].filter(Boolean).join(' ') ],
		[ _('Where'), m.device ],
		[ _('Interface'), m.network ],
		[ _('Network'), [ m.operator, m.access_technology, m.registration ].filter(Boolean).join(' · ') ],
		[ _('Refused because'), m.reject_cause ],
		[ _('Signal'), [ draw.bars(model.bars(m.signal)), ' ', modemcard.signal(m.signal).join(' · ') || _('not measured') ] ],
		[ _('Card'), [ words.source(m.card.source).label, ' ', m.card.source == 'remote' ? widgets.badge(words.card(m.card.state)) : '', m.card.iccid ? ` ICCID ${m.card.iccid}` : '' ] ],
	]);
}

function plan(name, line, p) {
	ui.showModal([ _('Dry run: line %s of %s').format(line, name) ], [
		widgets.facts([
			[ _('Line'), `${p.line} (${p.chip}:${p.offset})` ],
			[ _('Held by'), p.consumer || _('nobody') ],
			[ _('Direction'), p.direction ],
			[ _('Active low'), p.active_low ? _('yes') : _('no') ],
		]),
		E('p', {}, [ _('What would be done, in order:') ]),
		E('ol', {}, (p.plan ?? []).map(step => E('li', {}, [ step ]))),
		...(p.conflicts ?? []).map(c => widgets.alert('bad', null, [ c ])),
		E('p', {}, [ _('Nothing has been touched.') ]),
		E('div', { 'class': 'right' }, [ E('button', { 'type': 'button', 'class': 'btn', 'click': () => ui.hideModal() }, [ _('Close') ]) ]),
	]);
}

return view.extend({
	load() { return api.rights(); },

	actions(m) {
		const may = this.rights.operate;
		const method = widgets.select(model.resets(), 'auto', () => {}, _('Way to reset %s').format(m.name));
		method.disabled = !may;
		return E('div', {}, [
			method, ' ',
			widgets.button(_('Reset %s').format(m.name), 'negative', may, () => action.run(_('Reset %s').format(m.name),
				_('The modem restarts: its link is down for 10 to 60 seconds.'), () => api.reset(m.name, method.value))),
			' ',
			...lines.map(line => widgets.button(_('Line: %s').format(line), 'neutral', may, () =>
				api.gpio(m.name, line, true).then(p => plan(m.name, line, p), error => action.tell('warning', error.message)))).flatMap(b => [ b, ' ' ]),
		]);
	},

	identities() {
		return api.identities().then(list => ui.showModal([ _('Whole numbers') ], [
			E('p', {}, [ _('These numbers identify cards and devices. Show them to nobody who needs not know them.') ]),
			widgets.table([ _('Modem'), 'IMEI', 'ICCID', 'IMSI', 'EID' ], list.map(m => [ m.name, m.imei, m.iccid, m.imsi, m.eid ])),
			E('div', { 'class': 'right' }, [ E('button', { 'type': 'button', 'class': 'btn', 'click': () => ui.hideModal() }, [ _('Close') ]) ]),
		]), error => action.tell('error', error.message));
	},

	draw(modems) {
		if (!modems.length)
			return [ widgets.alert('calm', _('No modem is set up yet.'), [ E('p', {}, [ E('a', { 'href': L.url('admin/services/remsim/wizard') }, [ _('Set up the first one') ]) ]) ]) ];
		return modems.map(m => widgets.section(m.name, [ facts(m), this.actions(m) ], `modem-${m.name}`));
	},

	render(rights) {
		this.rights = rights;
		return E('div', {}, [
			E('h2', {}, [ _('Modems') ]),
			widgets.readOnly(rights.operate),
			...live.page([ { id: 'modems', select: s => s.modems, draw: modems => this.draw(modems) } ]),
			rights.identities ? widgets.button(_('Show whole numbers'), 'neutral', true, () => this.identities()) : '',
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
