'use strict';
'require baseclass';
'require remsim.draw as draw';
'require remsim.format as format';
'require remsim.widgets as widgets';
'require remsim.words as words';

/* A modem as a box, brief for the overview and whole for its own page. */

function signal(s) {
	return [
		Number.isFinite(s.rsrp_dbm) ? `RSRP ${format.number(s.rsrp_dbm, 'dBm')}` : '',
		Number.isFinite(s.rsrq_db) ? `RSRQ ${format.number(s.rsrq_db, 'dB')}` : '',
		Number.isFinite(s.sinr_db) ? `SINR ${format.number(s.sinr_db, 'dB')}` : '',
		Number.isFinite(s.rssi_dbm) ? `RSSI ${format.number(s.rssi_dbm, 'dBm')}` : '',
		Number.isFinite(s.quality) ? `${s.quality} %` : '',
	].filter(Boolean);
}

return baseclass.extend({
	signal,

	brief(m, bars) {
		return E('div', { 'class': 'ifacebox', 'data-modem': m.name }, [
			E('div', { 'class': 'ifacebox-body' }, [
				E('span', {}, [
					E('strong', {}, [ m.name ]), ' · ', words.role(m.role).label, ' ',
					widgets.badge(words.modem(m.state)), E('br'),
					draw.bars(bars), ' ',
					[ m.operator, m.access_technology ].filter(Boolean).join(' · ') || _('no network'), E('br'),
					signal(m.signal).slice(0, 2).join(', '), E('br'),
					words.source(m.card.source).label, ' ', m.card.source == 'remote' ? widgets.badge(words.card(m.card.state)) : '',
				]),
			]),
		]);
	},
});
