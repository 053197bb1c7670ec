'use strict';
'require view';
'require dom';
'require form';
'require uci';
'require remsim.api as api';
'require remsim.credentials as credentials';
'require remsim.live as live';
'require remsim.options as options';
'require remsim.widgets as widgets';

/* Every setting that is not marked expert in docs/CONFIG.md, with what the router
   found to choose from and what each one costs. */

/* Sections that exist once: they are there even if the file lacks them. */
const single = { main: 'remsim', failover: 'failover', ionmesh: 'ionmesh', metrics: 'metrics' };

return view.extend({
	load() {
		return Promise.all([
			api.rights(),
			L.resolveDefault(api.discover(), {}),
			L.resolveDefault(api.config(), {}),
			uci.load('remsim'),
		]);
	},

	/* What the daemon says of the settings in force. */
	report(report) {
		return [ ...(report.errors ?? []), ...(report.warnings ?? []) ].map(p =>
			widgets.alert(report.errors?.includes(p) ? 'bad' : 'warn', [ p.section, p.option ].filter(Boolean).join(' · '), [ p.message ]));
	},

	render([ rights, found, report ]) {
		if (rights.configure)
			for (const [ name, type ] of Object.entries(single))
				if (!uci.get('remsim', name))
					uci.add('remsim', type, name);
		const map = new form.Map('remsim', _('Settings'), _('Changes take effect when they are applied. A setting that the daemon refuses changes nothing: it goes on with the last good ones and says why here.'));
		options.fill(map, form, { found, report, names: type => uci.sections('remsim', type).map(s => s['.name']) });
		const said = E('div', { 'aria-live': 'polite' }, this.report(report));
		const refresh = () => api.config().then(r => dom.content(said, this.report(r)), () => {});
		return map.render().then(node => E('div', {}, [
			widgets.readOnly(rights.configure),
			...live.page([], refresh),
			said,
			node,
			credentials.block(rights.operate),
		]));
	},
});
