'use strict';
'require baseclass';
'require dom';
'require ui';
'require remsim.widgets as widgets';
'require remsim.live as live';

/* What a user does to the router: ask where it can hurt, show that it runs,
   say what came of it. */

return baseclass.extend({
	/* Asks, then runs call() and tells the result. warning null: no question. */
	run(title, warning, call, done) {
		/* As an array, for showModal makes markup of a bare title. */
		const go = () => {
			ui.showModal([ title ], [ E('p', { 'class': 'spinning', 'role': 'status' }, [ _('Under way…') ]) ]);
			return call().then(reply => {
				ui.hideModal();
				live.look?.(true);
				this.tell('info', done ? done(reply) : _('Done: %s').format(title));
			}, error => {
				ui.hideModal();
				this.tell('error', _('%s: %s').format(title, error.message ?? error));
			});
		};
		if (!warning)
			return go();
		ui.showModal([ title ], [
			E('p', {}, [ warning ]),
			E('div', { 'class': 'button-row right' }, [
				E('button', { 'type': 'button', 'class': 'btn', 'click': () => ui.hideModal() }, [ _('Cancel') ]),
				' ',
				E('button', { 'type': 'button', 'class': 'btn cbi-button-negative important', 'data-confirm': '', 'click': go }, [ title ]),
			]),
		]);
	},

	/* Says something in LuCI's own place for it; the last word replaces the one
	   before. */
	tell(kind, text) {
		this.said?.remove();
		this.said = ui.addNotification(null, E('p', {}, [ text ]), kind);
	},

	/* Steps of a test, one line each. */
	steps(reply) {
		const rows = (reply.steps ?? []).map(s => [
			[ widgets.badge({ label: s.ok ? _('ok') : _('failed'), tone: s.ok ? 'good' : 'bad' }) ],
			s.name, s.text, `${Math.round(s.ms)} ms`,
		]);
		return widgets.table([ _('Result'), _('Step'), _('Found'), _('Took') ], rows);
	},

	/* Runs a test and shows its steps in node. */
	test(node, call) {
		dom.content(node, [ E('p', { 'class': 'spinning', 'role': 'status' }, [ _('Testing…') ]) ]);
		return call().then(
			reply => dom.content(node, [ widgets.alert(reply.ok ? 'good' : 'bad', reply.ok ? _('It works.') : _('It does not work yet.'), []), this.steps(reply) ]),
			error => dom.content(node, [ widgets.alert('bad', _('The test could not run.'), [ String(error.message ?? error) ]) ])
		);
	},
});
