'use strict';
'require baseclass';
'require remsim.api as api';
'require remsim.model as model';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* Remote SIM on LuCI's own status page. Nothing is shown to a login that may
   not read it, or on a router where it is not in use. */

return baseclass.extend({
	title: _('Remote SIM'),

	load() {
		return L.resolveDefault(api.status(0), null);
	},

	render(reply) {
		if (!reply)
			return null;
		const status = model.whole(reply);
		return E('div', {}, [
			widgets.facts([
				[ _('State'), [ widgets.badge(model.verdict(status)), ' ', status.reason ] ],
				...status.modems.map(m => [ m.name, [
					widgets.badge(words.modem(m.state)), ' ', [ m.operator, m.access_technology ].filter(Boolean).join(' · '), ' · ',
					words.source(m.card.source).label, ' ', m.card.source == 'remote' ? widgets.badge(words.card(m.card.state)) : '',
				] ]),
				...model.findings(status).filter(f => f.severity == 'critical').slice(0, 3).map(f => [ _('Critical'), f.text ]),
			]),
			E('a', { 'href': L.url('admin/services/remsim') }, [ _('More about Remote SIM') ]),
		]);
	},
});
