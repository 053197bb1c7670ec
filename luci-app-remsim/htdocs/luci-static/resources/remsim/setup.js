'use strict';
'require baseclass';

/* Settings as data: what may be entered, what the eagerness of probes costs, and
   which sections a first set-up writes. Pure. The daemon checks all of it again;
   this only says so before it is saved. */

const shapes = {
	match: [ /^(usb:\d+-\d+(\.\d+)*|imei:\d{15}|serial:\S.*|dev:\/dev\/[\w./-]+)$/, () => _('usb:2-1, imei:15 digits, serial:TEXT or dev:/dev/NAME is expected.') ],
	device: [ /^(usb:\d+-\d+(\.\d+)*(:\d+)?|serial:\S.*|qmi:\/dev\/[\w./-]+|(\[[0-9A-Fa-f:.]+\]|[^\s:[\]]+):\d{1,5})$/, () => _('usb:PATH[:INTERFACE], serial:TEXT[:INTERFACE], qmi:/dev/NAME or HOST:PORT is expected.') ],
	line: [ /^!?(gpiochip\d+:\d+|[^\s:!][^\s:]*)$/, () => _('The name of a line, or gpiochip0:20, is expected; with ! in front if it is active low.') ],
	network: [ /^[A-Za-z0-9_]+$/, () => _('The name of an interface is expected: letters, digits and _.') ],
	credential: [ /^(\/\S+|[A-Za-z0-9._-]+)$/, () => _('A path, or the name of a stored credential, is expected.') ],
	url: [ /^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[^\s/:[\]@]+)(:\d{1,5})?(\/\S*)?$/, () => _('https://HOST[:PORT][/PATH] is expected.') ],
	plmn: [ /^\d{5,6}$/, () => _('3 digits of the country and 2 or 3 of the network are expected, as in 26201.') ],
	path: [ /^\/\S+$/, () => _('An absolute path is expected.') ],
	name: [ /^[A-Za-z0-9_]{1,32}$/, () => _('Letters, digits and _ are expected.') ],
};

/* A value is left out where it would say nothing. */
function filled(options) {
	return Object.fromEntries(Object.entries(options).filter(([ , v ]) => v !== '' && v !== null && v !== undefined && !(Array.isArray(v) && !v.length)));
}

/* What a table of links costs per eagerness: worst-case seconds until a dead idle
   link is noticed and megabytes a month, [not metered, metered]. tests/luci holds
   it against the daemon's own table. */
const detects = {
	fast: { seconds: [ 7.4, 32.4 ], mb: [ 58.1, 9.7 ] },
	normal: { seconds: [ 14.8, 304.8 ], mb: [ 29.0, 1.0 ] },
	frugal: { seconds: [ 68, 1808 ], mb: [ 4.8, 0.2 ] },
};

return baseclass.extend({
	detects,

	/* A LuCI validator for one shape: true, or what is expected. */
	shape(name) {
		const [ pattern, said ] = shapes[name];
		return (_section, value) => !value || pattern.test(value) || said();
	},

	detectName(name) {
		return { fast: _('fast'), normal: _('normal'), frugal: _('frugal') }[name];
	},

	detectText(name) {
		const d = detects[name];
		return _('%s: a dead link is noticed within %d s (metered %d s), %s MB a month and link (metered %s MB)').format(this.detectName(name), Math.ceil(d.seconds[0]), Math.ceil(d.seconds[1]), d.mb[0].toFixed(0), d.mb[1].toFixed(1));
	},

	/* Costs that belong to one part of the settings. */
	costs(report, prefixes) {
		return (report?.costs ?? []).filter(c => prefixes.some(p => c.setting.startsWith(p)));
	},

	costText(c) {
		const seconds = c.seconds > 0 ? _('noticed within %d s').format(c.seconds) : '';
		const bytes = c.mb_month > 0 ? _('%s MB a month').format(c.mb_month) : _('no data');
		return `${c.setting}: ${[ seconds, bytes ].filter(Boolean).join(', ')}`;
	},

	/* What `discover` found, as choices of a form: [value, label]. */
	choices(found) {
		const list = v => Array.isArray(v) ? v : [];
		const said = (...parts) => parts.filter(Boolean).join(' ');
		return {
			match: list(found?.modems).filter(m => m.match).map(m => [ m.match, said(m.manufacturer, m.model, `(${m.match})`, m.configured ? _('is %s').format(m.configured) : '') ]),
			device: list(found?.fronts).filter(f => f.device).map(f => [ f.device, said(f.kind, f.model, f.device) ]),
			line: list(found?.lines).map(l => {
				const value = l.name || `${l.chip}:${l.offset}`;
				return [ value, said(value, l.role ? `(${l.role})` : '', l.consumer ? _('used by %s').format(l.consumer) : '') ];
			}),
			network: list(found?.networks).map(n => [ n.name, said(n.name, n.proto ? `(${n.proto})` : '') ]),
		};
	},

	/* The interface that serves a modem which was found. */
	networkOf(found, match) {
		return (found?.modems ?? []).find(m => m.match == match)?.network ?? '';
	},

	/* The kind of front that fits a device which was found. */
	frontOf(found, device) {
		return (found?.fronts ?? []).find(f => f.device == device)?.kind ?? '';
	},

	/* What is still missing before a step of the set-up may be left: words, or
	   '' when it is complete. a: answers. */
	missing(step, a) {
		const number = (v, most) => /^\d+$/.test(String(v)) && Number(v) <= most;
		const wrong = (shape, value) => value ? this.shape(shape)('', value) : true;
		switch (step) {
		case 'modem':
			if (!/^[A-Za-z0-9_]{1,32}$/.test(a.name ?? ''))
				return shapes.name[1]();
			if (!a.match && a.front != 'vpcd')
				return _('Choose the modem.');
			return wrong('match', a.match) === true ? '' : wrong('match', a.match);
		case 'front':
			return wrong('device', a.device) === true ? '' : wrong('device', a.device);
		case 'bank':
			if (a.way == 'kept')
				return number(a.client_id, 1023) ? '' : _('The client id is a number from 0 to 1023.');
			if (!a.host)
				return _('Where is it? Enter a name or an address.');
			if (!number(a.port, 65535) || a.port < 1)
				return _('The port is a number from 1 to 65535.');
			if (!number(a.client_id, 1023) || !number(a.client_slot, 1023))
				return _('The client id and slot are numbers from 0 to 1023.');
			if (a.way == 'bank' && (!number(a.bank_id, 1023) || !number(a.slot, 1023)))
				return _('Bank and slot are numbers from 0 to 1023.');
			return '';
		default:
			return '';
		}
	},

	/* The sections that the answers make, in the order in which they are written. */
	plan(a) {
		const peer = { host: a.host, port: a.port, tls: a.tls ? '1' : '0', ca_cert: a.tls ? a.ca_cert : '' };
		const out = [
			{ type: 'remsim', name: 'main', options: { enabled: '1' } },
			{ type: 'modem', name: a.name, options: filled({
				role: a.role, match: a.match, network: a.network, source: 'remote', front: a.front, front_device: a.device,
				client_id: a.client_id, client_slot: a.client_slot, sim_line: a.sim_line,
			}) },
		];
		if (a.way == 'server')
			out.push({ type: 'server', name: null, options: filled(peer) });
		if (a.way == 'bank')
			out.push({ type: 'bank', name: null, options: filled({ ...peer, bank_id: a.bank_id, slot: a.slot, modem: [ a.name ] }) });
		return out;
	},

	/* Writes a plan through an object with LuCI's uci methods. */
	write(uci, plan) {
		for (const { type, name, options } of plan) {
			const there = name !== null && uci.get('remsim', name);
			const section = there ? name : uci.add('remsim', type, name ?? undefined);
			for (const [ option, value ] of Object.entries(options))
				uci.set('remsim', section, option, value);
		}
	},
});
