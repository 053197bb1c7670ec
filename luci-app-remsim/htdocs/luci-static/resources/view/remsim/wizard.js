'use strict';
'require view';
'require dom';
'require uci';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.live as live';
'require remsim.setup as setup';
'require remsim.widgets as widgets';

/* From an untouched installation to a working remote card: modem, front, bank,
   test, go. Nothing is written before the last step. */

const steps = () => [ [ 'modem', _('Modem') ], [ 'front', _('Card front') ], [ 'bank', _('Bank') ], [ 'check', _('Check and start') ], [ 'test', _('Test the card') ] ];

const patience = 60; /* seconds that the card gets to come up before the test runs anyway */

function row(label, input, text) {
	return E('div', { 'class': 'cbi-value' }, [
		E('label', { 'class': 'cbi-value-title' }, [ label ]),
		E('div', { 'class': 'cbi-value-field' }, [ input, text ? E('div', { 'class': 'cbi-value-description' }, [ text ]) : '' ]),
	]);
}

return view.extend({
	load() {
		return Promise.all([ api.rights(), api.discover().then(found => ({ found }), error => ({ error: error.message })), uci.load('remsim') ]);
	},

	render([ rights, { found, error } ]) {
		const servers = uci.sections('remsim', 'server');
		const first = uci.sections('remsim', 'modem').find(m => m['.name'] == 'primary');
		Object.assign(this, { rights, found: found ?? {}, error, step: 0, body: E('div', {}, []) });
		this.answers = {
			name: 'primary', role: 'primary', match: first?.match ?? '', network: first?.network ?? '', front: 'auto', device: first?.front_device ?? '', sim_line: first?.sim_line ?? '',
			way: servers.length ? 'kept' : 'server', host: '', port: '9998', tls: true, ca_cert: '', client_id: first?.client_id ?? '', client_slot: first?.client_slot ?? '0', bank_id: '1', slot: '0',
		};
		this.servers = servers;
		this.paint();
		return E('div', {}, [ E('h2', {}, [ _('Set up a remote card') ]), ...live.page([], () => {}), this.body ]);
	},

	/* Inputs write into the answers; those that change the page draw it anew. */
	input(key, label, type) {
		return E('input', { 'class': 'cbi-input-text', 'type': type ?? 'text', 'aria-label': label, 'value': this.answers[key], 'data-answer': key,
			'change': ev => { this.answers[key] = ev.currentTarget.value.trim(); } });
	},

	pick(key, label, values) {
		const all = values.some(([ v ]) => v == this.answers[key]) ? values : [ ...values, [ this.answers[key], this.answers[key] ] ];
		const node = widgets.select(all, this.answers[key], v => { this.choose(key, v); this.paint(); }, label);
		node.dataset.answer = key;
		return node;
	},

	/* What one answer says of others. */
	choose(key, value) {
		const a = this.answers;
		a[key] = value;
		if (key == 'match')
			a.network = setup.networkOf(this.found, value) || a.network;
		if (key == 'device' && value)
			a.front = setup.frontOf(this.found, value) || a.front;
		if (key == 'way' && value != 'kept')
			a.port = value == 'bank' ? '9999' : '9998';
	},

	modem() {
		const { match, network } = setup.choices(this.found);
		return [
			E('p', {}, [ _('Which modem shall use the remote card? These were found:') ]),
			match.length ? row(_('Modem'), this.pick('match', _('Modem'), [ [ '', _('choose…') ], ...match ]))
				: widgets.alert('warn', _('No modem was found.'), [ this.error ?? '', ...(this.found.notes ?? []), _('Plug it in and check that ModemManager sees it, or enter where it is, as usb:2-1.') ]),
			match.length ? '' : row(_('Modem'), this.input('match', _('Modem'))),
			row(_('Its interface'), network.length ? this.pick('network', _('Its interface'), [ [ '', _('none yet') ], ...network ]) : this.input('network', _('Its interface')),
				_('The interface under Network that belongs to this modem.')),
			row(_('Used for'), this.pick('role', _('Used for'), [ [ 'primary', _('user traffic') ], [ 'iot', _('control traffic') ] ])),
			row(_('Name'), this.input('name', _('Name')), _('How it is called on all pages.')),
		];
	},

	front() {
		const { device, line } = setup.choices(this.found);
		const fronts = [ [ 'auto', _('what is found') ], [ 'cardem', _('card emulator in the SIM slot') ], [ 'uim-remote', _('UIM Remote (Qualcomm modems)') ], [ 'vpcd', _('PC/SC programs (vpcd)') ] ];
		const reasons = (this.found.fronts ?? []).filter(f => f.reason).map(f => E('p', {}, [ `${f.device}: ${f.reason}` ]));
		return [
			E('p', {}, [ _('How shall the modem see a card that is not there?') ]),
			row(_('Card front'), this.pick('front', _('Card front'), fronts)),
			this.answers.front == 'auto' ? '' : row(_('Device'), device.length ? this.pick('device', _('Device'), [ [ '', _('the first that is found') ], ...device ]) : this.input('device', _('Device'))),
			...reasons,
			line.length ? row(_('SIM line'), this.pick('sim_line', _('SIM line'), [ [ '', _('none') ], ...line ]), _('Only where a GPIO line switches between the local and the remote card.')) : '',
		];
	},

	bank() {
		const a = this.answers;
		const ways = [
			...(this.servers.length ? [ [ 'kept', _('the server that is set up: %s').format(this.servers[0].host) ] ] : []),
			[ 'server', _('an RSPRO server (remsim-server)') ], [ 'bank', _('a bank directly') ],
		];
		return [
			row(_('The card comes from'), this.pick('way', _('The card comes from'), ways)),
			...(a.way == 'kept' ? [] : [
				row(_('Address'), this.input('host', _('Address'))),
				row(_('Port'), this.input('port', _('Port'), 'number')),
				row('TLS', E('input', { 'type': 'checkbox', 'aria-label': 'TLS', 'data-answer': 'tls', 'checked': a.tls ? '' : null, 'change': ev => { a.tls = ev.currentTarget.checked; this.paint(); } }),
					a.tls ? '' : _('Clear text is refused unless the peer is this router itself: everyone on the way could read and answer for the card.')),
				a.tls ? row(_('Authority'), this.input('ca_cert', _('Authority')), _('Empty: the system\'s authorities. Certificates are stored under Settings.')) : '',
			]),
			row(_('Client id'), this.input('client_id', _('Client id'), 'number'), _('Says which card is meant for this modem. Ask whoever runs the bank.')),
			row(_('Client slot'), this.input('client_slot', _('Client slot'), 'number')),
			...(a.way == 'bank' ? [ row(_('Bank id'), this.input('bank_id', _('Bank id'), 'number')), row(_('Slot'), this.input('slot', _('Slot'), 'number')) ] : []),
		];
	},

	check() {
		return [
			E('p', {}, [ _('This will be written to the settings of Remote SIM, and applied:') ]),
			widgets.table([ _('Section'), _('Settings') ], setup.plan(this.answers).map(s => [
				[ E('strong', {}, [ s.name ? `${s.type} ${s.name}` : s.type ]) ],
				Object.entries(s.options).map(([ k, v ]) => E('div', {}, [ `${k} = ${v}` ])),
			])),
			E('p', {}, [ _('The modem then changes its card: its link is down for 10 to 60 seconds.') ]),
			this.problems ?? '',
		];
	},

	test() {
		this.result ??= E('div', { 'aria-live': 'polite' }, []);
		return [
			E('p', {}, [ _('The settings are in force. The test asks the card through the bank; it disturbs nothing.') ]),
			widgets.button(_('Test the card'), 'action', true, () => this.tryCard()), ' ',
			E('a', { 'class': 'btn cbi-button', 'href': L.url('admin/services/remsim/overview') }, [ _('Go to the overview') ]),
			this.result,
		];
	},

	tryCard() {
		return action.test(this.result, () => api.test('card', this.answers.name));
	},

	/* Settings take a moment to reach the daemon, and the card to come up. */
	settle() {
		const until = Date.now() + patience * 1000;
		const look = () => api.status(0).then(s => {
			const m = s.modems?.find(x => x.name == this.answers.name);
			if (m?.card?.state == 'ready' || Date.now() > until)
				return;
			return new Promise(done => setTimeout(done, 1000)).then(look);
		});
		dom.content(this.result, [ E('p', { 'class': 'spinning', 'role': 'status' }, [ _('Waiting for the card…') ]) ]);
		return look().then(() => this.tryCard(), () => this.tryCard());
	},

	start() {
		setup.write(uci, setup.plan(this.answers));
		return action.run(_('Save and start'), null, () => uci.save().then(() => uci.apply(30)).then(() => api.reload()).then(reply => {
			if (!reply.ok) {
				this.problems = E('div', {}, (reply.errors ?? []).map(p => widgets.alert('bad', [ p.section, p.option ].filter(Boolean).join(' · '), [ p.message ])));
				this.paint();
				throw new Error(_('the daemon does not accept the settings'));
			}
			this.problems = null;
			this.step++;
			this.paint();
			this.settle();
		}), () => _('The settings are in force.'));
	},

	next() {
		const missing = setup.missing(steps()[this.step][0], this.answers);
		if (missing)
			return action.tell('warning', missing);
		this.step++;
		this.paint();
	},

	paint() {
		const list = steps(), [ name ] = list[this.step];
		dom.content(this.body, [
			E('p', { 'role': 'list' }, list.flatMap(([ , title ], i) => [
				E(i == this.step ? 'strong' : 'span', { 'role': 'listitem', 'aria-current': i == this.step ? 'step' : null }, [ `${i + 1}. ${title}` ]), i + 1 < list.length ? ' › ' : '',
			])),
			E('div', { 'class': 'cbi-section', 'data-step': name }, [
				E('h3', {}, [ list[this.step][1] ]), ...this[name](),
				E('div', { 'class': 'cbi-page-actions' }, [
					this.step > 0 && name != 'test' ? widgets.button(_('Back'), 'neutral', true, () => { this.step--; this.paint(); }) : '', ' ',
					name == 'check' ? widgets.button(_('Save and start'), 'apply', this.rights.configure && this.rights.operate, () => this.start())
						: name != 'test' ? widgets.button(_('Next'), 'action', true, () => this.next()) : '',
				]),
			]),
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
