'use strict';
'require baseclass';
'require dom';
'require uci';
'require ui-widgets as widgets';

/* The options of forms: from the configuration into an input and back. */

const { Textfield, Textarea, Checkbox, Select, Combobox, DynamicList } = widgets.types;

const equal = (a, b) => JSON.stringify(Array.isArray(a) ? a.map(String) : a == null ? '' : String(a)) == JSON.stringify(Array.isArray(b) ? b.map(String) : b == null ? '' : String(b));

const AbstractValue = baseclass.extend({
	__name__: 'CBI.AbstractValue',

	__init__(map, section, option, title, description) {
		Object.assign(this, { map, section, option, title: title ?? '', description: description ?? '' });
		this.ucioption = option;
		this.deps = [];
		this.elements = {};
		this.rmempty = this.rmempty ?? true;
		this.default = this.default ?? null;
	},

	/* depends('option', 'value') or depends({ option: value, … }); several are
	   alternatives. */
	depends(option, value) {
		this.deps.push(typeof(option) == 'string' ? { [option]: value } : Object.assign({}, option));
	},

	/* A choice. */
	value(key, label) {
		this.keylist = [ ...this.keylist ?? [], String(key) ];
		this.vallist = [ ...this.vallist ?? [], label ?? String(key) ];
	},

	choices() {
		return this.keylist ? Object.fromEntries(this.keylist.map((k, i) => [ k, this.vallist[i] ])) : null;
	},

	load(sid) { return uci.get(this.map.config, sid, this.ucioption); },
	cfgvalue(sid) { return this.load(sid); },
	cbid(sid) { return `cbid.${this.map.config}.${sid}.${this.option}`; },
	getUIElement(sid) { return this.elements[sid] ?? null; },
	formvalue(sid) { return this.elements[sid]?.getValue() ?? null; },
	isValid(sid) { return this.elements[sid]?.isValid() ?? true; },
	getValidationError(sid) { return this.elements[sid]?.getValidationError() ?? ''; },
	validate() { return true; },
	write(sid, value) { uci.set(this.map.config, sid, this.ucioption, value); },
	remove(sid) { uci.unset(this.map.config, sid, this.ucioption); },

	/* Are the conditions met under which the option stands on the page? */
	checkDepends(sid) {
		if (!this.deps.length)
			return true;
		return this.deps.some((dep) => Object.entries(dep).every(([ name, want ]) => {
			const other = this.section.children.find((o) => o.option == name);
			const value = other ? (other.isActive(sid) ? other.formvalue(sid) : null) : uci.get(this.map.config, sid, name);
			const has = (w) => Array.isArray(value) ? value.includes(w) : String(value ?? '') === String(w);
			return want instanceof RegExp ? want.test(value ?? '') : Array.isArray(want) ? want.some(has) : has(want);
		}));
	},

	isActive(sid) { return this.elements[sid] != null && this.checkDepends(sid); },

	/* Put what the input holds into the configuration. */
	parse(sid) {
		if (!this.elements[sid])
			return;
		if (!this.checkDepends(sid)) {
			if (!this.retain && this.cfgvalue(sid) != null)
				this.remove(sid);
			return;
		}
		if (!this.isValid(sid))
			throw new TypeError(_('Option "%s" contains an invalid input value.').format(this.title || this.option) + ` ${this.getValidationError(sid)}`);
		this.put(sid, this.formvalue(sid));
	},

	put(sid, value) {
		const empty = value == null || value === '' || (Array.isArray(value) && !value.length);
		if (empty)
			this.remove(sid);
		else if (this.forcewrite || !equal(this.cfgvalue(sid), value))
			this.write(sid, value);
	},

	element(value, options) {
		return this.keylist ? new Combobox(value, this.choices(), options) : new Textfield(value, null, options);
	},

	/* The row of the option in a form, or a cell of a table. */
	render(sid, cell) {
		const id = `widget.${this.cbid(sid)}`;
		const description = this.describe(sid, id);
		const value = this.cfgvalue(sid) ?? this.default;
		const element = this.element(value, {
			id, datatype: this.datatype, optional: this.optional || this.rmempty, placeholder: this.placeholder, password: this.password, rows: this.rows, monospace: this.monospace,
			validate: (v) => this.checkDepends(sid) ? this.validate(sid, v) : true,
			disabled: this.map.readonly || this.readonly, value_enabled: this.enabled, value_disabled: this.disabled, sort: this.keylist, multiple: this.multiple, widget: this.widget,
			describedby: description ? `${id}.description` : null
		});
		this.elements[sid] = element;
		const node = element.render();
		node.id = this.cbid(sid);
		node.addEventListener('widget-change', (ev) => {
			this.map.checkDepends();
			this.onchange?.(ev, sid, this.formvalue(sid));
		});
		return this.row(sid, id, node, description, cell);
	},

	describe(sid, id) {
		/* As in LuCI, a description is markup. */
		return this.description ? E('div', { 'class': 'cbi-value-description', 'id': `${id}.description` }, this.description) : null;
	},

	row(sid, id, node, description, cell) {
		if (cell)
			return E('td', { 'class': 'td cbi-value-field', 'data-name': this.option, 'data-title': this.title }, [ node ]);
		return this.frame(sid, E('div', { 'class': 'cbi-value', 'id': `cbi-${this.map.config}-${sid}-${this.option}`, 'data-name': this.option }, [
			E('label', { 'class': 'cbi-value-title', 'for': id }, [ this.title ]),
			E('div', { 'class': 'cbi-value-field' }, [ node, description ])
		]));
	},

	frame(sid, row) {
		this.rows_ = Object.assign(this.rows_ ?? {}, { [sid]: row });
		return row;
	},

	/* Show or hide the row by its conditions. */
	toggle(sid) {
		const row = this.rows_?.[sid];
		const hide = !this.checkDepends(sid);
		if (!row || row.classList.contains('hidden') == hide)
			return false;
		row.classList.toggle('hidden', hide);
		return true;
	},

	/* What stands in a table that only shows the value. */
	textvalue(sid) {
		const value = this.cfgvalue(sid) ?? this.default;
		const choices = this.choices();
		return L.toArray(Array.isArray(value) ? value : value == null ? [] : [ value ]).map((v) => choices?.[v] ?? v).join(', ');
	}
});

const Flag = AbstractValue.extend({
	__name__: 'CBI.FlagValue',
	enabled: '1',
	disabled: '0',
	__init__(...args) {
		AbstractValue.prototype.__init__.apply(this, args);
		this.default = this.disabled;
	},
	element(value, options) { return new Checkbox(value, null, options); },
	put(sid, value) {
		if (value == this.default && (this.optional || this.rmempty))
			this.remove(sid);
		else if (this.forcewrite || this.cfgvalue(sid) != value)
			this.write(sid, value);
	},
	textvalue(sid) { return (this.cfgvalue(sid) ?? this.default) == this.enabled ? _('Yes') : _('No'); }
});

const ListValue = AbstractValue.extend({
	__name__: 'CBI.ListValue',
	element(value, options) {
		return new Select(value, this.choices() ?? {}, Object.assign(options, { optional: !!this.optional }));
	}
});

const MultiValue = AbstractValue.extend({
	__name__: 'CBI.MultiValue',
	multiple: true,
	element(value, options) { return new Select(value, this.choices() ?? {}, options); }
});

const TextValue = AbstractValue.extend({
	__name__: 'CBI.TextValue',
	element(value, options) { return new Textarea(value, null, options); }
});

const ListOfValues = AbstractValue.extend({
	__name__: 'CBI.DynamicList',
	element(value, options) { return new DynamicList(value, this.choices(), options); }
});

/* Something that is only shown. */
const DummyValue = AbstractValue.extend({
	__name__: 'CBI.DummyValue',
	parse() {},
	isActive(sid) { return this.checkDepends(sid); },
	formvalue(sid) { return this.cfgvalue(sid); },
	render(sid, cell) {
		const id = `widget.${this.cbid(sid)}`;
		const text = this.textvalue(sid);
		const node = E('output', { 'id': id }, Array.isArray(text) ? text : [ text ]);
		return this.row(sid, id, node, this.describe(sid, id), cell);
	}
});

const Button = AbstractValue.extend({
	__name__: 'CBI.ButtonValue',
	parse() {},
	isActive(sid) { return this.checkDepends(sid); },
	render(sid, cell) {
		const id = `widget.${this.cbid(sid)}`;
		const title = typeof(this.inputtitle) == 'function' ? this.inputtitle(sid) : this.inputtitle ?? this.title;
		const node = E('button', { 'class': `cbi-button cbi-button-${this.inputstyle ?? 'button'}`, 'type': 'button', 'id': id, 'disabled': this.map.readonly || this.readonly ? '' : null,
			'click': L.ui.createHandlerFn(this, (ev) => this.onclick ? this.onclick(ev, sid) : this.map.save()) }, [ title ]);
		return this.row(sid, id, node, this.describe(sid, id), cell);
	}
});

return baseclass.extend({
	types: { AbstractValue, Value: AbstractValue, Flag, ListValue, MultiValue, TextValue, DynamicList: ListOfValues, DummyValue, Button }
});
