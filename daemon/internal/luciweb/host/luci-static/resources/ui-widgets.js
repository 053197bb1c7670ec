'use strict';
'require baseclass';
'require validation';

/* The inputs of forms. Each renders a node, and gets, sets and checks its value. */

const Element = baseclass.extend({
	__init__(value, choices, options) {
		this.value = value;
		this.choices = choices;
		this.options = Object.assign({ optional: true }, options);
	},

	/* wire connects an input to the form: it is checked whenever it changes. */
	wire(input) {
		this.input = input;
		if (this.options.id)
			input.id = this.options.id;
		if (this.options.name)
			input.name = this.options.name;
		if (this.options.disabled)
			input.disabled = true;
		if (this.options.describedby)
			input.setAttribute('aria-describedby', this.options.describedby);
		for (const name of [ 'input', 'change', 'blur' ])
			input.addEventListener(name, () => this.triggerValidation());
		input.addEventListener('change', () => this.changed());
		return input;
	},

	/* changed tells the form, by an event that bubbles. */
	changed() {
		this.node?.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	},

	getValue() { return this.input.value; },
	setValue(value) { this.input.value = value ?? ''; },
	isChanged() { return JSON.stringify(this.getValue()) != JSON.stringify(this.value ?? ''); },

	triggerValidation() {
		this.error = validation.check(this.getValue(), this.options.datatype, this.options.optional, this.options.validate);
		const bad = this.error !== true;
		for (const input of this.node?.querySelectorAll?.('input, select, textarea') ?? []) {
			input.classList.toggle('cbi-input-invalid', bad);
			input.setAttribute('aria-invalid', bad ? 'true' : 'false');
		}
		if (this.node)
			bad ? this.node.setAttribute('data-tooltip', this.error) : this.node.removeAttribute('data-tooltip');
		return !bad;
	},

	isValid() { return this.triggerValidation(); },
	getValidationError() { return this.error === true ? '' : this.error ?? ''; }
});

const Textfield = Element.extend({
	render() {
		const input = this.wire(E('input', {
			'class': 'cbi-input-text', 'type': this.options.password ? 'password' : 'text', 'placeholder': this.options.placeholder ?? null, 'value': this.value ?? '',
			'readonly': this.options.readonly ? '' : null, 'autocomplete': this.options.password ? 'new-password' : 'off'
		}));
		this.node = E('div', { 'class': 'cbi-input-wrap' }, [ input ]);
		return this.node;
	}
});

const Textarea = Element.extend({
	render() {
		const input = this.wire(E('textarea', { 'class': 'cbi-input-textarea', 'rows': this.options.rows ?? 5, 'placeholder': this.options.placeholder ?? null }, [ this.value ?? '' ]));
		if (this.options.monospace)
			input.classList.add('monospace');
		this.node = E('div', {}, [ input ]);
		return this.node;
	}
});

const Checkbox = Element.extend({
	render() {
		const { value_enabled: on = '1' } = this.options;
		this.node = E('div', { 'class': 'cbi-checkbox' }, [
			this.wire(E('input', { 'type': 'checkbox', 'value': on, 'checked': this.value == on ? '' : null }))
		]);
		return this.node;
	},
	isChecked() { return this.input.checked; },
	getValue() { return this.input.checked ? this.options.value_enabled ?? '1' : this.options.value_disabled ?? '0'; },
	setValue(value) { this.input.checked = value == (this.options.value_enabled ?? '1'); }
});

const Select = Element.extend({
	render() {
		const sort = this.options.sort;
		const keys = Array.isArray(sort) ? sort : Object.keys(this.choices ?? {});
		if (this.value != null && this.value !== '' && !Array.isArray(this.value) && !keys.includes(String(this.value)))
			keys.unshift(String(this.value));
		if (this.options.optional && !this.options.multiple && !keys.includes(''))
			keys.unshift('');
		const label = (k) => this.choices?.[k] ?? (k === '' ? this.options.placeholder ?? '' : k);
		const chosen = L.toArray(this.value).map(String);
		if (this.options.multiple || this.options.widget == 'radio')
			return this.boxes(keys, label, chosen);
		this.node = E('div', {}, [
			this.wire(E('select', { 'class': 'cbi-input-select' }, keys.map((k) =>
				E('option', { 'value': k, 'selected': chosen.includes(k) || (k === '' && !chosen.length) ? '' : null }, [ label(k) ]))))
		]);
		return this.node;
	},
	boxes(keys, label, chosen) {
		const type = this.options.multiple ? 'checkbox' : 'radio';
		const name = this.options.id ?? `choice${Math.random()}`;
		this.items = keys.map((k) => E('input', { 'type': type, 'name': name, 'value': k, 'checked': chosen.includes(k) ? '' : null, 'change': () => { this.triggerValidation(); this.changed(); } }));
		this.node = E('div', { 'role': this.options.multiple ? 'group' : 'radiogroup' }, this.items.map((input, i) =>
			E('label', { 'class': 'cbi-choice' }, [ input, ' ', label(keys[i]) ])));
		if (this.options.disabled)
			this.items.forEach((i) => { i.disabled = true; });
		return this.node;
	},
	getValue() {
		if (!this.items)
			return this.input.value;
		const values = this.items.filter((i) => i.checked).map((i) => i.value);
		return this.options.multiple ? values : values[0] ?? '';
	},
	setValue(value) {
		if (this.items)
			this.items.forEach((i) => { i.checked = L.toArray(value).includes(i.value); });
		else
			this.input.value = value ?? '';
	}
});

/* A text field that proposes values. */
const Combobox = Element.extend({
	render() {
		const id = `${this.options.id ?? `combo${Math.random()}`}.list`;
		this.node = E('div', { 'class': 'cbi-input-wrap' }, [
			this.wire(E('input', { 'class': 'cbi-input-text', 'type': 'text', 'list': id, 'placeholder': this.options.placeholder ?? null, 'value': this.value ?? '', 'autocomplete': 'off' })),
			E('datalist', { 'id': id }, Object.keys(this.choices ?? {}).map((k) => E('option', { 'value': k }, [ this.choices[k] ])))
		]);
		return this.node;
	}
});

const DynamicList = Element.extend({
	render() {
		this.items = E('div', { 'class': 'items' });
		const add = () => {
			const value = this.input.value.trim();
			if (value === '' || this.getValue().includes(value) || validation.check(value, this.options.datatype, true, null) !== true)
				return;
			this.item(value);
			this.input.value = '';
			this.triggerValidation();
			this.changed();
		};
		const id = `${this.options.id ?? 'list'}.choices`;
		const input = this.wire(E('input', { 'class': 'cbi-input-text', 'type': 'text', 'placeholder': this.options.placeholder ?? null, 'list': this.choices ? id : null,
			'keydown': (ev) => { if (ev.key == 'Enter') { ev.preventDefault(); add(); } } }));
		this.node = E('div', { 'class': 'cbi-dynlist' }, [
			this.items,
			E('div', { 'class': 'add-item' }, [
				input,
				E('button', { 'class': 'btn cbi-button cbi-button-add', 'type': 'button', 'disabled': this.options.disabled ? '' : null, 'aria-label': _('Add item'), 'click': add }, [ '+' ]),
				this.choices ? E('datalist', { 'id': id }, Object.keys(this.choices).map((k) => E('option', { 'value': k }, [ this.choices[k] ]))) : ''
			])
		]);
		L.toArray(this.value).forEach((v) => this.item(v));
		return this.node;
	},
	item(value) {
		const node = E('div', { 'class': 'item', 'data-value': value }, [
			E('span', {}, [ this.choices?.[value] ?? value ]),
			E('button', { 'class': 'btn cbi-button-remove', 'type': 'button', 'disabled': this.options.disabled ? '' : null, 'aria-label': _('Remove %s').format(value),
				'click': () => { node.remove(); this.triggerValidation(); this.changed(); } }, [ '×' ])
		]);
		this.items.appendChild(node);
	},
	getValue() {
		const values = [ ...this.items.children ].map((n) => n.getAttribute('data-value'));
		const pending = this.input.value.trim();
		return pending !== '' && !values.includes(pending) ? [ ...values, pending ] : values;
	},
	setValue(value) {
		this.items.replaceChildren();
		L.toArray(value).forEach((v) => this.item(v));
	},
	isChanged() { return JSON.stringify(this.getValue()) != JSON.stringify(L.toArray(this.value)); }
});

return baseclass.extend({
	types: { AbstractElement: Element, Textfield, Textarea, Checkbox, Select, Combobox, DynamicList, Dropdown: Select }
});
