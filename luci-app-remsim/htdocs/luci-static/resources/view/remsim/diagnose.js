'use strict';
'require view';
'require dom';
'require ui';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.live as live';
'require remsim.table as table';
'require remsim.widgets as widgets';

/* What depends on what, which part fails first, and what mends it. */

/* What can be tried out on this router. */
const targets = data => [
	[ 'server', _('RSPRO server') ], [ 'bank', _('SIM bank') ], [ 'card', _('Card') ],
	...(data.links ? [ [ 'path', _('Paths') ] ] : []),
	...(data.ionmesh ? [ [ 'ionmesh', _('Orchestrator') ] ] : []),
];

/* Checks under the one they depend on. */
function tree(checks, parent) {
	const list = checks.filter(c => (c.depends_on ?? '') == parent);
	return list.length ? E('ul', {}, list.map(c => E('li', { 'data-check': c.name, 'data-ok': String(c.ok) }, [
		widgets.badge({ label: c.ok ? _('ok') : _('failed'), tone: c.ok ? 'good' : 'bad' }), ' ',
		E('strong', {}, [ c.name ]), ': ', c.text,
		!c.ok && c.fix ? E('div', {}, [ E('em', {}, [ _('What to do: %s').format(c.fix) ]) ]) : '',
		tree(checks, c.name),
	]))) : '';
}

function problems(report) {
	const rows = [ ...(report.errors ?? []).map(p => [ p, 'bad', _('error') ]), ...(report.warnings ?? []).map(p => [ p, 'warn', _('warning') ]) ];
	return [
		widgets.alert(report.ok ? 'good' : 'bad', null, [ report.ok ? _('The settings in %s are accepted.').format(report.path ?? '') : _('The settings in %s are not accepted; the last good ones stay in use.').format(report.path ?? '') ]),
		rows.length ? widgets.table([ '', _('Section'), _('Option'), _('Value'), _('What is wrong') ], rows.map(([ p, tone, label ]) =>
			[ [ widgets.badge({ label, tone }) ], p.section, p.option, p.value, p.message ])) : '',
	];
}

return view.extend({
	load() { return api.rights(); },

	fetch() {
		return Promise.all([ api.diagnose(), api.config() ]).then(([ d, report ]) => {
			const text = JSON.stringify([ d, report ]);
			if (text === this.last)
				return;
			this.last = text;
			const good = d.checks.every(c => c.ok);
			dom.content(this.tree, [ widgets.alert(good ? 'good' : 'bad', null, [ d.verdict ]), tree(d.checks, '') ]);
			dom.content(this.config, problems(report));
		}, () => {}); /* the page's own notice says what is wrong */
	},

	tests(data) {
		const { modems } = data;
		const may = this.rights.operate;
		let name = modems[0] ?? '';
		return [ widgets.section(_('Try it out'), [
			E('p', {}, [ _('Tests disturb nothing that works.') ]),
			modems.length > 1 ? widgets.select(modems.map(m => [ m, m ]), name, v => { name = v; }, _('Modem')) : '', ' ',
			...targets(data).flatMap(([ target, label ]) => [ widgets.button(_('Test: %s').format(label), 'neutral', may, () => action.test(this.result, () => api.test(target, target == 'path' ? undefined : name))), ' ' ]),
			this.result,
		]) ];
	},

	/* The archive comes in parts, as one reply holds at most 256 KiB. */
	support() {
		const bar = E('p', { 'class': 'spinning', 'role': 'status' }, [ _('Collecting…') ]);
		ui.showModal([ _('Support archive') ], [ bar ]);
		const parts = [];
		const next = n => api.support(n).then(reply => {
			parts.push(Uint8Array.from(atob(reply.data), c => c.charCodeAt(0)));
			dom.content(bar, [ _('Part %d of %d').format(n + 1, reply.parts) ]);
			return n + 1 < reply.parts ? next(n + 1) : reply;
		});
		return next(0).then(() => {
			ui.hideModal();
			widgets.save(table.name('support', live.now(), 'tar.gz'), 'application/gzip', parts);
			action.tell('info', _('The archive is saved. Secrets and identities are hidden in it; look into it before you pass it on.'));
		}, error => {
			ui.hideModal();
			action.tell('error', _('The support archive could not be made: %s').format(error.message));
		});
	},

	render(rights) {
		const box = () => E('div', { 'aria-live': 'polite' }, []);
		Object.assign(this, { rights, last: null, tree: box(), config: box(), result: box() });
		const [ notice, tests ] = live.page([ { id: 'tests', select: s => ({ modems: s.modems.map(m => m.name), links: s.links.length > 0, ionmesh: s.ionmesh.state != 'off' }), draw: data => this.tests(data) } ], () => this.fetch());
		return E('div', {}, [
			E('h2', {}, [ _('Diagnose') ]),
			widgets.readOnly(rights.operate), notice,
			widgets.section(_('What depends on what'), [ this.tree ]),
			tests,
			widgets.section(_('Settings'), [ this.config ]),
			widgets.section(_('Support archive'), [
				E('p', {}, [ _('Settings, journal, state and versions in one file for whoever helps you. Secrets and identities are hidden.') ]),
				widgets.button(_('Save the archive'), 'action', rights.operate, () => this.support()),
			]),
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null,
});
