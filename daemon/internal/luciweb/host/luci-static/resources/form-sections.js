'use strict';
'require baseclass';
'require dom';
'require uci';
'require validation';

/* The sections of forms: one by its name, all of a type, or all of a type as a
   table whose rows are edited in a dialog. */

const Abstract = baseclass.extend({
	__name__: 'CBI.AbstractSection',

	__init__(map, sectiontype, title, description) {
		Object.assign(this, { map, sectiontype, title: title ?? '', description: description ?? '', children: [], tabs: null, anonymous: false, addremove: false });
	},

	tab(name, title, description) {
		(this.tabs ??= []).push({ name, title, description });
	},

	option(cls, option, ...args) {
		const o = new cls(this.map, this, option, ...args);
		this.children.push(o);
		return o;
	},

	taboption(name, ...args) {
		const o = this.option(...args);
		o.tab = name;
		return o;
	},

	filter() { return true; },
	cfgsections() { return uci.sections(this.map.config, this.sectiontype).map((s) => s['.name']).filter((sid) => this.filter(sid)); },
	formvalue(sid, option) { return this.children.find((o) => o.option == option)?.formvalue(sid) ?? null; },

	parse() {
		for (const sid of this.cfgsections())
			for (const o of this.children)
				o.parse(sid);
	},

	checkDepends() {
		let changed = false;
		for (const sid of this.cfgsections())
			for (const o of this.children)
				changed = o.toggle(sid) || changed;
		return changed;
	},

	heading() {
		return [
			this.title ? E('h3', {}, [ this.title ]) : null,
			this.description ? E('div', { 'class': 'cbi-section-descr' }, this.description) : null
		];
	},

	/* The options of one section, in tabs if there are some. */
	fields(sid, options = this.children) {
		const node = E('div', { 'class': `cbi-section-node ${this.tabs ? 'cbi-section-node-tabbed' : ''}`.trim(), 'id': `cbi-${this.map.config}-${sid}`, 'data-section-id': sid });
		const loose = options.filter((o) => !o.tab);
		loose.forEach((o) => node.appendChild(o.render(sid)));
		const panes = (this.tabs ?? []).map((t) => E('div', { 'data-tab': t.name, 'data-tab-title': t.title, 'id': `container.${this.map.config}.${sid}.${t.name}` }, [
			t.description ? E('div', { 'class': 'cbi-tab-descr' }, [ t.description ]) : null,
			...options.filter((o) => o.tab == t.name).map((o) => o.render(sid))
		]));
		panes.forEach((p) => node.appendChild(p));
		if (panes.length)
			L.ui.tabs.initTabGroup(panes);
		return node;
	},

	titleOf(sid) {
		const title = typeof(this.sectiontitle) == 'function' ? this.sectiontitle(sid) : this.sectiontitle != null ? uci.get(this.map.config, sid, this.sectiontitle) : null;
		return title ?? (this.anonymous ? null : sid);
	},

	handleAdd(ev, name) {
		uci.add(this.map.config, this.sectiontype, name);
		return this.map.save(null, true);
	},

	handleRemove(sid) {
		uci.remove(this.map.config, sid);
		return this.map.save(null, true);
	},

	removeButton(sid) {
		return E('button', { 'class': 'cbi-button cbi-button-remove', 'type': 'button', 'disabled': this.map.readonly ? '' : null,
			'click': L.ui.createHandlerFn(this, 'handleRemove', sid) }, [ _('Delete') ]);
	},

	/* The button, with a name before it where the section has one. */
	adder() {
		if (!this.addremove)
			return null;
		const title = this.addbtntitle ?? _('Add');
		const label = typeof(title) == 'function' ? title() : title;
		const locked = this.map.readonly ? '' : null;
		if (this.anonymous)
			return E('div', { 'class': 'cbi-section-create' }, [
				E('button', { 'class': 'cbi-button cbi-button-add', 'type': 'button', 'disabled': locked, 'click': L.ui.createHandlerFn(this, 'handleAdd') }, [ label ])
			]);
		const input = E('input', { 'class': 'cbi-section-create-name', 'type': 'text', 'aria-label': _('Name of the new section'), 'disabled': locked });
		const button = E('button', { 'class': 'cbi-button cbi-button-add', 'type': 'button', 'disabled': '',
			'click': L.ui.createHandlerFn(this, (ev) => this.handleAdd(ev, input.value)) }, [ label ]);
		input.addEventListener('input', () => {
			const taken = uci.get(this.map.config, input.value) != null;
			const bad = input.value !== '' && (taken || validation.check(input.value, 'and(uciname,maxlength(15))', true, null) !== true);
			input.classList.toggle('cbi-input-invalid', bad);
			button.disabled = bad || input.value === '';
		});
		return E('div', { 'class': 'cbi-section-create' }, [ input, ' ', button ]);
	}
});

const NamedSection = Abstract.extend({
	__name__: 'CBI.NamedSection',
	__init__(map, section, sectiontype, title, description) {
		Abstract.prototype.__init__.call(this, map, sectiontype, title, description);
		this.section = section;
	},
	cfgsections() { return uci.get(this.map.config, this.section) ? [ this.section ] : []; },
	render() {
		const [ sid ] = this.cfgsections();
		const create = () => { uci.add(this.map.config, this.sectiontype, this.section); return this.map.save(null, true); };
		return E('div', { 'class': 'cbi-section' }, [
			...this.heading(),
			sid ? this.fields(sid) : E('div', { 'class': 'cbi-section-create' }, [
				E('p', {}, [ E('em', {}, [ _('This section contains no values yet') ]) ]),
				this.addremove ? E('button', { 'class': 'cbi-button cbi-button-add', 'disabled': this.map.readonly ? '' : null, 'click': L.ui.createHandlerFn(this, create) }, [ _('Add') ]) : ''
			]),
			sid && this.addremove ? E('div', { 'class': 'cbi-section-remove right' }, [ this.removeButton(sid) ]) : null
		]);
	}
});

const TypedSection = Abstract.extend({
	__name__: 'CBI.TypedSection',
	render() {
		const sids = this.cfgsections();
		return E('div', { 'class': 'cbi-section', 'id': `cbi-${this.map.config}-${this.sectiontype}` }, [
			...this.heading(),
			...sids.flatMap((sid) => [
				this.addremove ? E('div', { 'class': 'cbi-section-remove right' }, [ this.removeButton(sid) ]) : null,
				this.titleOf(sid) ? E('h3', {}, [ this.titleOf(sid) ]) : null,
				this.fields(sid)
			]),
			sids.length ? null : E('p', {}, [ E('em', {}, [ _('This section contains no values yet') ]) ]),
			this.adder()
		]);
	}
});

const GridSection = Abstract.extend({
	__name__: 'CBI.GridSection',

	columns() { return this.children.filter((o) => !o.modalonly); },

	/* Only what is edited in the table itself is read from it. */
	parse() {
		for (const sid of this.cfgsections())
			for (const o of this.columns())
				if (o.editable)
					o.parse(sid);
	},

	render() {
		const sids = this.cfgsections(), columns = this.columns();
		const named = sids.some((sid) => this.titleOf(sid) != null);
		const head = E('tr', { 'class': 'tr cbi-section-table-titles' }, [
			named ? E('th', { 'class': 'th' }, [ _('Name') ]) : null,
			...columns.map((o) => E('th', { 'class': 'th cbi-section-table-cell', 'scope': 'col' }, [ o.title ])),
			E('th', { 'class': 'th cbi-section-actions' }, [ E('span', { 'class': 'visually-hidden' }, [ _('Actions') ]) ])
		]);
		const rows = sids.map((sid, i) => E('tr', { 'class': `tr cbi-section-table-row cbi-rowstyle-${i % 2 + 1}`, 'id': `cbi-${this.map.config}-${sid}`, 'data-sid': sid }, [
			named ? E('td', { 'class': 'td', 'data-title': _('Name') }, [ this.titleOf(sid) ?? '' ]) : null,
			...columns.map((o) => this.cell(o, sid)),
			E('td', { 'class': 'td cbi-section-actions' }, [ E('div', {}, this.actions(sid, i, sids)) ])
		]));
		return E('div', { 'class': 'cbi-section cbi-tblsection', 'id': `cbi-${this.map.config}-${this.sectiontype}` }, [
			...this.heading(),
			E('table', { 'class': 'table cbi-section-table' }, [ head, ...rows ]),
			sids.length ? null : E('p', {}, [ E('em', {}, [ _('This section contains no values yet') ]) ]),
			this.adder()
		]);
	},

	cell(o, sid) {
		if (o.editable)
			return o.render(sid, true);
		const text = o.textvalue(sid);
		return E('td', { 'class': 'td', 'data-name': o.option, 'data-title': o.title }, Array.isArray(text) ? text : [ text === '' || text == null ? '-' : text ]);
	},

	actions(sid, i, sids) {
		const locked = this.map.readonly ? '' : null;
		const move = (other, after) => { uci.move(this.map.config, sid, other, after); return this.map.save(null, true); };
		const arrow = (sign, label, other, after) => E('button', { 'class': 'cbi-button', 'type': 'button', 'aria-label': label, 'disabled': other == null ? '' : locked,
			'click': L.ui.createHandlerFn(this, () => move(other, after)) }, [ sign ]);
		return [
			...(this.sortable ? [ arrow('↑', _('Move up'), sids[i - 1], false), arrow('↓', _('Move down'), sids[i + 1], true) ] : []),
			E('button', { 'class': 'cbi-button cbi-button-edit', 'type': 'button', 'click': L.ui.createHandlerFn(this, 'renderMoreOptionsModal', sid) }, [ _('Edit') ]),
			this.addremove ? this.removeButton(sid) : ''
		];
	},

	/* A new section is edited at once, and gone again if that is dismissed. */
	handleAdd(ev, name) {
		const sid = uci.add(this.map.config, this.sectiontype, name);
		return this.renderMoreOptionsModal(sid, true);
	},

	renderMoreOptionsModal(sid, fresh) {
		const node = E('div', { 'class': 'cbi-map' }, [ this.fields(sid, this.children.filter((o) => o.modalonly !== false)) ]);
		const modal = (fn) => L.ui.createHandlerFn(this, fn);
		L.ui.showModal(this.titleOf(sid) ?? this.title, [
			node,
			E('div', { 'class': 'button-row' }, [
				E('button', { 'class': 'cbi-button cbi-button-cancel', 'click': modal(() => {
					if (fresh === true)
						uci.remove(this.map.config, sid);
					L.ui.hideModal();
					return this.map.reset();
				}) }, [ _('Dismiss') ]), ' ',
				E('button', { 'class': 'cbi-button cbi-button-positive important', 'disabled': this.map.readonly ? '' : null, 'click': modal(() => {
					try {
						this.children.filter((o) => o.modalonly !== false).forEach((o) => o.parse(sid));
					}
					catch (e) {
						return L.ui.addNotification(null, E('p', {}, [ e.message ]), 'danger');
					}
					L.ui.hideModal();
					return this.map.save(null, true);
				}) }, [ _('Save') ])
			])
		], 'cbi-modal');
		this.children.forEach((o) => o.toggle(sid));
	}
});

return baseclass.extend({ types: { AbstractSection: Abstract, NamedSection, TypedSection, GridSection, TableSection: GridSection } });
