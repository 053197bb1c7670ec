'use strict';
'require view';
'require remsim.draw as draw';
'require remsim.live as live';
'require remsim.model as model';
'require remsim.picture as picture';
'require remsim.modemcard as modemcard';
'require remsim.widgets as widgets';
'require remsim.words as words';
'require remsim.format as format';

/* What works, what does not, since when, what to do. */

function verdict({ word, reason }) {
	return [ widgets.alert(word.tone, `${words.sign(word.tone)} ${word.label}`.trim(), [ reason ]) ];
}

function findings(list) {
	return list.length ? [ widgets.section(_('What to look at'), list.map(f => widgets.finding(f, live.now()))) ] : [];
}

function paths(data, status) {
	const p = picture.paths(status, live.small());
	return p ? [ widgets.section(_('Paths'), [ draw.picture(p, _('The paths of this router')), E('p', {}, [ status.failover.reason ?? '' ]) ]) ] : [];
}

function cards(data, status) {
	return model.remote(status).map(m => widgets.section(_('Remote card of %s').format(m.name), [
		draw.picture(picture.card(status, m, live.small()), _('From the modem to its card')),
		m.card.detail ? E('p', {}, [ m.card.detail ]) : '',
	]));
}

function modems(data) {
	return [ widgets.section(_('Modems'), [
		data.length ? E('div', { 'class': 'network-status-table' }, data.map(m => modemcard.brief(m, model.bars(m.signal))))
			: E('p', {}, [ _('No modem is set up yet.'), ' ', E('a', { 'href': L.url('admin/services/remsim/wizard') }, [ _('Set up the first one') ]) ]),
	]) ];
}

function budget(list) {
	if (!list.length)
		return [];
	return [ widgets.section(_('Data budget'), list.map(b => {
		const share = model.budget(b);
		return E('div', { 'data-budget': b.link }, [
			b.limit_bytes > 0 ? widgets.gauge(share.used, _('%s: %s of %s this month (%d %%), forecast %s').format(b.link, format.bytes(b.month_bytes), format.bytes(b.limit_bytes), share.used, format.bytes(b.forecast_bytes)))
				: E('p', {}, [ _('%s: %s this month, forecast %s, no limit').format(b.link, format.bytes(b.month_bytes), format.bytes(b.forecast_bytes)) ]),
			E('p', {}, [ share.purposes.filter(p => p.bytes > 0).map(p => `${words.purpose(p.name).label} ${format.bytes(p.bytes)}`).join(' · ') ]),
		]);
	})) ];
}

function foot(data) {
	return [ E('p', {}, [ _('remsim %s on %s, health %s of 100').format(data.version, data.device_id, data.score ?? '–') ]) ];
}

/* What a drawing shows, without what only counts. */
const drawn = status => ({
	modems: status.modems.map(m => [ m.name, m.present, m.state, m.model, m.manufacturer, m.card ]),
	sessions: status.sessions.map(s => [ s.modem, s.bank, s.server, s.bankd ]),
	codes: status.health.findings.map(f => [ f.subject, f.code ]),
});

return view.extend({
	render() {
		return E('div', {}, [
			E('h2', {}, [ _('Remote SIM') ]),
			...live.page([
				{ id: 'verdict', select: s => ({ word: model.verdict(s), reason: s.reason }), draw: verdict },
				{ id: 'findings', select: s => model.findings(s), draw: findings },
				{ id: 'paths', select: s => [ s.links, s.failover ], draw: paths },
				{ id: 'cards', select: drawn, draw: cards },
				{ id: 'modems', select: s => s.modems, draw: modems },
				{ id: 'budget', select: s => s.budget, draw: budget },
				{ id: 'foot', select: s => ({ version: s.version, device_id: s.device_id, score: s.health.score }), draw: foot },
			]),
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
