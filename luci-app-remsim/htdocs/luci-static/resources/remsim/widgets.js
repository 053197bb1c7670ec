'use strict';
'require baseclass';
'require dom';
'require remsim.words as words';
'require remsim.format as format';

/* Small pieces of pages. Children always go in arrays: E() makes text of array
   items, but markup of a bare string. */

const labels = { good: 'label success', warn: 'label warning', bad: 'label warning', calm: 'label' };
const alerts = { good: 'success', warn: 'warning', bad: 'error', calm: 'notice' };

return baseclass.extend({
	badge(word) {
		const sign = words.sign(word.tone);
		return E('span', { 'class': labels[word.tone] ?? 'label', 'data-tone': word.tone }, [ sign ? `${sign} ${word.label}` : word.label ]);
	},

	/* A box that says something; children are texts or nodes. */
	alert(tone, title, children) {
		return E('div', { 'class': `alert-message ${alerts[tone] ?? 'notice'}`, 'role': tone == 'bad' ? 'alert' : 'status' }, [
			title ? E('h4', { 'aria-level': 3, 'role': 'heading' }, [ title ]) : '',
			...children.map(c => typeof c == 'string' ? E('p', {}, [ c ]) : c),
		]);
	},

	section(title, children, id) {
		return E('div', { 'class': 'cbi-section', 'id': id ?? null }, [ title ? E('h3', {}, [ title ]) : '', ...children ]);
	},

	/* rows: arrays of cells. Titles are repeated in each cell for narrow screens. */
	table(titles, rows, placeholder) {
		const cells = (row, tag) => row.map((cell, i) => E(tag, { 'class': tag, 'data-title': tag == 'td' ? titles[i] : null }, Array.isArray(cell) ? cell : [ cell ?? '' ]));
		return E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, cells(titles, 'th')),
			...(rows.length ? rows.map(row => E('tr', { 'class': 'tr' }, cells(row, 'td')))
				: [ E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ placeholder ?? _('Nothing yet.') ]) ]) ]) ]),
		]);
	},

	/* Pairs of a name and a value. Empty values are left out. */
	facts(pairs) {
		return E('table', { 'class': 'table' }, pairs.filter(([ , value ]) => value !== '' && value !== null && value !== undefined).map(([ name, value ]) =>
			E('tr', { 'class': 'tr' }, [
				E('th', { 'class': 'td left', 'width': '33%', 'scope': 'row' }, [ name ]),
				E('td', { 'class': 'td left' }, Array.isArray(value) ? value : [ String(value) ]),
			])));
	},

	/* An age that remsim.live keeps true without drawing the page anew. */
	ago(unix, now) {
		return E('span', { 'data-ago': unix, 'title': format.time(unix) }, [ format.ago(unix, now) ]);
	},

	gauge(share, text) {
		const width = Math.max(0, Math.min(100, share));
		return E('div', { 'class': 'cbi-progressbar', 'title': text, 'role': 'progressbar', 'aria-label': text, 'aria-valuenow': width, 'aria-valuemin': 0, 'aria-valuemax': 100 },
			[ E('div', { 'style': `width:${width}%` }, []) ]);
	},

	/* A button for an action. Without the right to use it, it is disabled and
	   says why. */
	button(title, kind, allowed, click) {
		return E('button', {
			'type': 'button',
			'class': `btn cbi-button cbi-button-${kind}`,
			'disabled': allowed ? null : '',
			'title': allowed ? null : _('This login may only read.'),
			'click': click,
		}, [ title ]);
	},

	/* Why everything is grey, said once above the buttons. */
	readOnly(allowed) {
		return allowed ? '' : E('p', {}, [ E('em', {}, [ _('This login may only read: actions are disabled.') ]) ]);
	},

	finding(f, now) {
		const severity = words.severity(f.severity);
		return this.alert(severity.tone, `${severity.label}: ${f.text}`, [
			f.fix ? _('What to do: %s').format(f.fix) : '',
			E('p', {}, [ f.subject, ' · ', f.code, ' · ', this.ago(f.since, now) ]),
		]);
	},

	select(values, chosen, change, label) {
		return E('select', { 'class': 'cbi-input-select', 'aria-label': label, 'change': ev => change(ev.currentTarget.value) },
			values.map(([ value, text ]) => E('option', { 'value': value, 'selected': value == chosen ? '' : null }, [ text ])));
	},

	/* Hands text to the browser as a file. */
	save(name, type, text) {
		const url = URL.createObjectURL(new Blob(Array.isArray(text) ? text : [ text ], { type }));
		const link = E('a', { 'href': url, 'download': name, 'class': 'hidden' }, [ name ]);
		document.body.append(link);
		link.click();
		link.remove();
		setTimeout(() => URL.revokeObjectURL(url), 10000);
	},
});
