'use strict';
'require baseclass';
'require dom';
'require request';
'require uci';

/* What is set and not applied: the indicator, the dialog, and "Save & Apply"
   with the confirmation that keeps the router from rolling back. */

const ui = () => L.ui;

function count(changes) {
	return Object.values(changes).reduce((n, list) => n + list.length, 0);
}

return baseclass.extend({
	changes: {},

	init() {
		return uci.changes().then((changes) => this.renderChangeIndicator(changes)).catch(() => {});
	},

	renderChangeIndicator(changes) {
		this.changes = changes ?? {};
		this.setIndicator(count(this.changes));
	},

	setIndicator(n) {
		if (n > 0)
			ui().showIndicator('uci-changes', `${_('Unsaved Changes')}: ${n}`, () => this.displayChanges());
		else
			ui().hideIndicator('uci-changes');
	},

	displayChanges() {
		const lines = Object.entries(this.changes).flatMap(([ config, list ]) => [
			E('h5', {}, [ `# /etc/config/${config}` ]),
			...list.map((c) => E('code', { 'class': 'uci-change' }, [ `${c[0]} ${config}.${c.slice(1, c.length > 3 ? 3 : 2).join('.')} ${c.slice(c.length > 3 ? 3 : 2).join(' ')}`.trim() ]))
		]);
		ui().showModal(_('Configuration / Changes'), [
			E('div', { 'class': 'cbi-section' }, [ E('div', { 'class': 'uci-change-list' }, lines) ]),
			E('div', { 'class': 'button-row' }, [
				E('button', { 'class': 'btn cbi-button cbi-button-cancel', 'click': () => ui().hideModal() }, [ _('Close') ]), ' ',
				E('button', { 'class': 'btn cbi-button cbi-button-reset', 'click': () => this.revert() }, [ _('Revert') ]), ' ',
				E('button', { 'class': 'btn cbi-button cbi-button-apply important', 'click': () => this.apply(true) }, [ _('Apply') ])
			])
		]);
	},

	displayStatus(type, content) {
		if (!type) {
			ui().hideModal();
			return;
		}
		ui().showModal(null, [ E('div', { 'class': `alert-message ${type}`, 'role': 'status' }, [ content ]) ]);
	},

	async apply(checked) {
		this.displayStatus('notice spinning', E('p', {}, [ _('Starting configuration apply…') ]));
		const post = (what, token) => request.post(`${L.url('admin/uci', what)}?token=${token}`, null);
		const res = await post(checked ? 'apply_rollback' : 'apply_unchecked', L.env.token);
		if (res.status == 204 && checked)
			return this.done('notice', _('There are no changes to apply'));
		if (!res.ok)
			return this.done('warning', _('Apply request failed with status %s').format(res.text() || res.status));
		if (checked) {
			const { token } = res.json();
			await new Promise((resolve) => window.setTimeout(resolve, L.env.apply_holdoff * 1000));
			const until = Date.now() + L.env.apply_rollback * 1000;
			for (;;) {
				const confirmed = await post('confirm', token).catch(() => null);
				if (confirmed?.ok)
					break;
				if (Date.now() > until)
					return this.done('warning', _('Configuration changes have been rolled back!'));
				await new Promise((resolve) => window.setTimeout(resolve, 1000));
			}
		}
		document.dispatchEvent(new CustomEvent('uci-applied'));
		this.setIndicator(0);
		return this.done('notice', _('Configuration changes applied.'), true);
	},

	async revert() {
		this.displayStatus('notice spinning', E('p', {}, [ _('Reverting configuration…') ]));
		const res = await request.post(`${L.url('admin/uci/revert')}?token=${L.env.token}`, null);
		if (!res.ok)
			return this.done('warning', _('Revert request failed with status %s').format(res.statusText || res.status));
		document.dispatchEvent(new CustomEvent('uci-reverted'));
		this.setIndicator(0);
		return this.done('notice', _('Changes have been reverted.'), true);
	},

	/* Show how it ended for a while; the page then shows what is so. */
	done(type, text, reload) {
		this.displayStatus(type, E('p', {}, [ text ]));
		window.setTimeout(() => {
			this.displayStatus(false);
			if (reload)
				window.location = window.location.href.split('#')[0];
		}, L.env.apply_display * 1000);
	}
});
