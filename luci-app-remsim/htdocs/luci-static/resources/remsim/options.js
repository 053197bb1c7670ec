'use strict';
'require baseclass';
'require remsim.setup as setup';

/* The options of each section as a LuCI form. tests/luci holds the list against
   the daemon's table of options (docs/CONFIG.md). `form` is handed in so that
   the list can be read without a browser. */

const credential = (s, name, title, text) => {
	const o = s.option('Value', name, title, text);
	o.validate = setup.shape('credential');
	o.modalonly = true;
};

function number(s, name, title, text, range, fallback) {
	const o = s.option('Value', name, title, text);
	o.datatype = range;
	if (fallback !== undefined)
		o.placeholder = fallback;
	o.modalonly = true;
	return o;
}

function choice(s, name, title, text, values, fallback) {
	const o = s.option('ListValue', name, title, text);
	if (fallback === undefined)
		o.value('', _('as its role wants it'));
	for (const [ value, label ] of values)
		o.value(value, label);
	o.default = fallback ?? '';
	o.modalonly = true;
	/* A grid shows the words, not the value; a node, so that it stays text. */
	const labels = new Map(values);
	o.textvalue = id => {
		const value = o.cfgvalue(id) ?? o.default;
		return E('span', {}, [ labels.get(value) ?? String(value) ]);
	};
	return o;
}

/* A text with proposals; whatever fits the shape may be typed. */
function proposed(s, name, title, text, values, shape) {
	const o = s.option('Value', name, title, text);
	for (const [ value, label ] of values)
		o.value(value, label);
	o.validate = setup.shape(shape);
	o.modalonly = true;
	return o;
}

function flag(s, name, title, text, fallback) {
	const o = s.option('Flag', name, title, text);
	o.default = fallback;
	o.rmempty = false;
	return o;
}

/* What the settings in force cost, beside them. */
function cost(s, report, prefixes) {
	const lines = setup.costs(report, prefixes).map(setup.costText);
	if (!lines.length)
		return;
	const o = s.option('DummyValue', '_cost', _('What this costs now'));
	o.modalonly = true;
	o.cfgvalue = () => lines.join(' · ');
}

function host(s, name, text) {
	const o = s.option('Value', name, _('Address'), text);
	o.datatype = 'host';
	return o;
}

function tls(s) {
	flag(s, 'tls', 'TLS', _('A stock program speaks none: put stunnel or remsim-gate before it. Clear text is refused unless the peer is this router itself.'), '1');
	credential(s, 'ca_cert', _('Authority'), _('Who signed the peer\'s certificate. Empty: the system\'s authorities.'));
	credential(s, 'client_cert', _('Client certificate'), _('Shown to the peer; needs its key.'));
	credential(s, 'client_key', _('Client key'), _('The key of the client certificate.'));
}

const traffic = () => [ [ 'never', _('never') ], [ 'emergency', _('only when no other link is left') ], [ 'always', _('always') ] ];

/* Sections by type; each function fills one. c: what was found and what is set. */
const sections = {
	remsim(s) {
		flag(s, 'enabled', _('Switched on'), _('Off: the daemon reads and answers, but connects nowhere and changes nothing.'), '0');
		const id = s.option('Value', 'device_id', _('Name of this router'), _('How it calls itself towards the orchestrator. Empty: the host name.'));
		id.datatype = 'maxlength(64)';
		choice(s, 'log_level', _('Log'), _('The least severe line that is logged.'), [ 'debug', 'info', 'warn', 'error' ].map(v => [ v, v ]), 'info');
	},

	modem(s, c) {
		const found = setup.choices(c.found);
		choice(s, 'role', _('Used for'), null, [ [ 'primary', _('user traffic') ], [ 'iot', _('control traffic') ] ], 'primary').modalonly = undefined;
		proposed(s, 'match', _('Modem'), _('Which one it is. A USB path names the socket, IMEI and serial number the device.'), found.match, 'match').modalonly = undefined;
		proposed(s, 'network', _('Interface'), _('The interface under Network that belongs to this modem.'), found.network, 'network').modalonly = undefined;
		proposed(s, 'network_remote', _('Interface with the remote card'), _('Another one while the remote card is in, with its APN and PIN. Empty: the same.'), found.network, 'network');
		choice(s, 'source', _('Card'), _('Which card the modem shall use.'), [ [ 'remote', _('remote card') ], [ 'local', _('local card') ] ]);
		choice(s, 'fallback', _('Without a remote card'), _('A switch of cards costs 10 to 60 s without the link.'), [ [ 'none', _('wait for it') ], [ 'local', _('use the local card') ] ], 'none');
		choice(s, 'front', _('Card front'), _('How the modem is made to see the remote card.'), [ [ 'auto', _('what is found') ], [ 'cardem', _('card emulator in the SIM slot') ], [ 'uim-remote', _('UIM Remote (Qualcomm modems)') ], [ 'vpcd', _('PC/SC programs (vpcd)') ], [ 'none', _('none') ] ], 'auto');
		proposed(s, 'front_device', _('Device of the front'), _('Empty: the first that is found.'), found.device, 'device');
		number(s, 'client_id', _('RSPRO client id'), _('Says at the server which card is meant for this modem. Not needed where the orchestrator assigns one.'), 'range(0,1023)');
		number(s, 'client_slot', _('RSPRO client slot'), null, 'range(0,1023)', '0');
		choice(s, 'card_cache', _('Keep of the card here'), _('Off sends every STATUS poll of the modem to the bank.'), [ [ 'off', _('nothing') ], [ 'safe', _('what cannot change') ], [ 'full', _('files that are read again and again, too') ] ], 'safe');
		number(s, 'status_interval', _('Seconds between STATUS commands'), _('Those in between are answered here; each costs about 300 bytes. A card that was pulled out stays unnoticed for that long. 0: all go to the card.'), 'range(0,86400)', '600');
		proposed(s, 'sim_line', _('SIM line'), _('GPIO line that switches between the local and the remote card. The page Modems shows what would be done with it.'), found.line, 'line');
		choice(s, 'sim_remote_level', _('Level for the remote card'), null, [ [ 'high', _('high') ], [ 'low', _('low') ] ], 'high');
		proposed(s, 'reset_line', _('Reset line'), null, found.line, 'line');
		proposed(s, 'power_line', _('Power line'), null, found.line, 'line');
		choice(s, 'metered', _('Metered'), _('Each byte counts: probed less often, so a dead link is noticed later.'), [ [ '1', _('yes') ], [ '0', _('no') ] ]);
		choice(s, 'user_traffic', _('User traffic'), null, traffic());
		cost(s, c.report, c.names('modem').flatMap(n => [ `${n}:`, `${n}.` ]));
	},

	link(s, c) {
		proposed(s, 'network', _('Interface'), _('A link that is no modem of ours: wired, satellite.'), setup.choices(c.found).network, 'network').modalonly = undefined;
		flag(s, 'metered', _('Metered'), null, '0');
		choice(s, 'user_traffic', _('User traffic'), null, traffic(), 'always').modalonly = undefined;
	},

	server(s) {
		host(s, 'host', _('Where the remsim-server is. It and this router ping each other every 30 s.'));
		number(s, 'port', _('Port'), null, 'port', '9998').modalonly = undefined;
		tls(s);
	},

	bank(s, c) {
		host(s, 'host', _('Where the bank is. Without modems below: a correction for a bank that a server announces.'));
		number(s, 'port', _('Port'), null, 'port', '9999').modalonly = undefined;
		number(s, 'bank_id', _('Bank id'), null, 'range(0,1023)', '1').modalonly = undefined;
		number(s, 'slot', _('Slot'), _('Of the first modem; each further one gets the next.'), 'range(0,1023)', '0').modalonly = undefined;
		const modems = s.option('DynamicList', 'modem', _('Modems'), _('Modems that use this bank directly, without a server.'));
		c.names('modem').forEach(n => modems.value(n, n));
		modems.modalonly = true;
		tls(s);
	},

	ionmesh(s, c) {
		flag(s, 'enabled', _('Register'), _('The orchestrator assigns banks, slots and client ids.'), '0');
		const url = s.option('Value', 'url', _('Address'));
		url.validate = setup.shape('url');
		url.placeholder = 'https://ionmesh.example.com:5000';
		number(s, 'tenant_id', _('Tenant'), null, 'uinteger', '1');
		choice(s, 'mapping_mode', _('Kind of card'), null, [ 'ONE_TO_ONE_SWSIM', 'ONE_TO_ONE_VSIM', 'KI_PROXY_SWSIM' ].map(v => [ v, v ]), 'ONE_TO_ONE_SWSIM');
		const plmn = s.option('Value', 'mcc_mnc', _('Network'), _('Whose card is wanted, as 26201. Empty: the orchestrator chooses.'));
		plmn.validate = setup.shape('plmn');
		credential(s, 'api_key_file', _('API key'), _('A file, or the name of a stored key.'));
		number(s, 'heartbeat_interval', _('Seconds between beats'), _('At 300 s a lean beat costs 2 MB a month, a REST beat 5 MB and more. The orchestrator may ask for another.'), 'range(10,3600)', '300');
		number(s, 'timeout', _('Seconds to wait for an answer'), null, 'range(1,60)', '10');
		credential(s, 'ca_cert', _('Authority'), _('Who signed the peer\'s certificate. Empty: the system\'s authorities.'));
		credential(s, 'client_cert', _('Client certificate'), _('Shown to the peer; needs its key.'));
		credential(s, 'client_key', _('Client key'), _('The key of the client certificate.'));
		cost(s, c.report, [ 'ionmesh.' ]);
	},

	failover(s, c) {
		const control = s.option('DynamicList', 'control_path', _('Control traffic over'), _('Modems and links in order. Empty: modems for control traffic first, then the others.'));
		[ ...c.names('modem'), ...c.names('link') ].forEach(n => control.value(n, n));
		number(s, 'grace', _('Seconds to ride through'), _('How long a lost bank or path may last before the state is "needs attention". The card stays.'), 'range(0,86400)', '300');
		choice(s, 'failback', _('Back to the better link'), null, [ [ 'after', _('after it has been good for a while') ], [ 'immediate', _('at once') ], [ 'never', _('never') ] ], 'after');
		number(s, 'hold', _('Seconds it has to stay good'), null, 'range(0,86400)', '30');
		choice(s, 'detect', _('Watch silent links'), [ _('Whatever arrives on a link proves it for free; only silent links are probed.'), ...Object.keys(setup.detects).map(d => setup.detectText(d)) ].join('<br />'),
			Object.keys(setup.detects).map(d => [ d, setup.detectName(d) ]), 'normal');
		cost(s, c.report, [ 'failover.' ]);
	},

	budget(s, c) {
		const link = s.option('ListValue', 'link', _('Link'));
		[ ...c.names('modem'), ...c.names('link') ].forEach(n => link.value(n, n));
		number(s, 'monthly_mb', _('Megabytes a month'), null, 'range(1,10000000)', '10').modalonly = undefined;
		number(s, 'reset_day', _('First day of its month'), null, 'range(1,31)', '1').modalonly = undefined;
		choice(s, 'at_limit', _('At the limit'), null, [ [ 'warn', _('only say so') ], [ 'essential', _('only what keeps the card alive passes') ], [ 'stop', _('nothing passes') ] ], 'essential').modalonly = undefined;
	},

	hook(s) {
		const o = s.option('Value', 'script', _('Program'), _('Run with REMSIM_CAUSE and the other REMSIM_* variables when something happens.'));
		o.validate = setup.shape('path');
	},

	metrics(s) {
		flag(s, 'enabled', _('Serve metrics'), _('Prometheus text over HTTP, on 127.0.0.1:9187 unless set otherwise in the file.'), '0');
	},
};

/* A section whose options' classes are given by name. `made` collects them. */
function adapt(section, form) {
	const made = [];
	return {
		made,
		option(cls, name, title, text) {
			made.push(section.option(form[cls], name, title, text ?? ''));
			return made.at(-1);
		},
	};
}

const titles = () => ({
	remsim: [ _('General'), 'main' ], modem: [ _('Modems') ], server: [ _('RSPRO servers') ], bank: [ _('SIM banks') ], link: [ _('Other links') ],
	failover: [ _('Failover'), 'failover' ], budget: [ _('Data budgets') ], ionmesh: [ _('Orchestrator (IonMesh)'), 'ionmesh' ], hook: [ _('Programs to tell') ], metrics: [ _('Metrics'), 'metrics' ],
});

/* Modems and links are called by their names everywhere. */
const named = [ 'modem', 'link' ];

return baseclass.extend({
	sections,

	fill(map, form, c) {
		map.tabbed = true;
		for (const [ type, [ title, single ] ] of Object.entries(titles())) {
			const s = single ? map.section(form.NamedSection, single, type, title) : map.section(form.GridSection, type, title);
			if (!single) {
				s.addremove = true;
				s.anonymous = !named.includes(type);
				s.nodescriptions = true;
				s.sortable = type == 'server';
			}
			const adapted = adapt(s, form);
			sections[type](adapted, c);
			if (single) /* only rows of a grid have a dialog for the rest */
				for (const o of adapted.made)
					o.modalonly = undefined;
		}
	},
});
