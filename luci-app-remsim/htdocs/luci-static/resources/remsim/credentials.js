'use strict';
'require baseclass';
'require dom';
'require remsim.action as action';
'require remsim.api as api';
'require remsim.format as format';
'require remsim.widgets as widgets';

/* Stored certificates and keys: list, add, remove. What was stored is never read
   back; the list holds names and dates only. */

const kinds = () => [ [ 'ca', _('authority') ], [ 'cert', _('certificate') ], [ 'key', _('key') ], [ 'api_key', _('API key') ] ];

return baseclass.extend({
	block(may) {
		const list = E('div', { 'aria-live': 'polite' }, []);
		const show = stored => dom.content(list, [ this.table(stored, show) ]);
		if (may)
			api.credential().then(show, error => dom.content(list, [ widgets.alert('warn', null, [ error.message ]) ]));
		return widgets.section(_('Certificates and keys'), [
			E('p', {}, [ _('Stored on the router for root only, and called by name in the settings above. They are never shown again.') ]),
			may ? list : E('p', {}, [ E('em', {}, [ _('This login may not see them.') ]) ]),
			may ? this.add(show) : '',
		], 'remsim-credentials');
	},

	table(stored, show) {
		const words = Object.fromEntries(kinds());
		return widgets.table([ _('Kind'), _('Name'), _('Valid until'), _('Actions') ], stored.map(c => [
			words[c.kind] ?? c.kind, c.name, c.expires ? format.time(c.expires) : '–',
			[ widgets.button(_('Remove'), 'negative', true, () => action.run(_('Remove %s').format(c.name), _('A setting that still names it stops working.'),
				() => api.credential(c.kind, c.name, '').then(show))) ],
		]), _('None is stored.'));
	},

	add(show) {
		let kind = 'ca';
		const name = E('input', { 'class': 'cbi-input-text', 'type': 'text', 'aria-label': _('Name'), 'placeholder': _('Name') });
		const text = E('textarea', { 'class': 'cbi-input-textarea', 'rows': 4, 'aria-label': _('PEM text or API key'), 'placeholder': '-----BEGIN …' });
		const file = E('input', { 'type': 'file', 'aria-label': _('File'), 'change': ev => ev.currentTarget.files[0]?.text().then(t => { text.value = t; }) });
		const row = (label, input) => E('div', { 'class': 'cbi-value' }, [ E('label', { 'class': 'cbi-value-title' }, [ label ]), E('div', { 'class': 'cbi-value-field' }, [ input ]) ]);
		return E('div', {}, [
			row(_('Kind'), widgets.select(kinds(), kind, v => { kind = v; }, _('Kind'))),
			row(_('Name'), name), row(_('File'), file), row(_('or its text'), text),
			E('div', { 'class': 'right' }, [ widgets.button(_('Store'), 'save', true, () => {
				if (!name.value || !text.value.trim())
					return action.tell('warning', _('A name and the file or its text are needed.'));
				return action.run(_('Store %s').format(name.value), null, () => api.credential(kind, name.value, text.value).then(stored => {
					text.value = file.value = '';
					return show(stored);
				}));
			}) ]),
		]);
	},
});
