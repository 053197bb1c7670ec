'use strict';
'require baseclass';
'require dom';
'require rpc';
'require uci';
'require form-options as options';
'require form-sections as sections';

/* A form over one UCI file. */

const mayWrite = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });

const CBIMap = baseclass.extend({
	__name__: 'CBI.Map',

	__init__(config, title, description) {
		Object.assign(this, { config, title: title ?? '', description: description ?? '', children: [], readonly: false, data: uci });
	},

	section(cls, ...args) {
		if (!sections.types.AbstractSection.isSubclass(cls))
			L.raise('TypeError', 'Class must be a descendent of CBIAbstractSection');
		const s = new cls(this, ...args);
		this.children.push(s);
		return s;
	},

	async load() {
		const [ write ] = await Promise.all([ mayWrite('uci', this.config, 'write'), uci.load(this.config) ]);
		this.readonly = !write || this.readonly;
	},

	async render() {
		await this.load();
		this.root = E('div', { 'class': 'cbi-map', 'id': `cbi-${this.config}` });
		dom.bindClassInstance(this.root, this);
		this.renderContents();
		return this.root;
	},

	renderContents() {
		dom.content(this.root, [
			this.title ? E('h2', { 'name': 'content' }, [ this.title ]) : null,
			this.description ? E('div', { 'class': 'cbi-map-descr' }, this.description) : null
		]);
		for (const s of this.children)
			this.root.appendChild(s.render());
		this.checkDepends();
		return this.root;
	},

	/* Conditions may hang on others: as often as something changes. */
	checkDepends() {
		for (let i = 0; i < 10 && this.children.map((s) => s.checkDepends()).some((c) => c); i++)
			continue;
	},

	/* The options of the page into what uci.save sends. */
	async parse() {
		for (const s of this.children)
			s.parse();
	},

	async save(callback, silent) {
		try {
			await this.parse();
			await callback?.();
			await uci.save();
		}
		catch (e) {
			if (!silent)
				L.ui.showModal(_('Save error'), [
					E('p', {}, [ _('An error occurred while saving the form:') ]),
					E('p', {}, [ E('em', {}, [ e.message ]) ]),
					E('div', { 'class': 'right' }, [ E('button', { 'class': 'cbi-button cbi-button-cancel', 'click': () => L.ui.hideModal() }, [ _('Dismiss') ]) ])
				]);
			throw Object.assign(e, { reported: true });
		}
		await this.load();
		this.renderContents();
		await L.ui.changes.init();
	},

	/* As it was read last. */
	reset() { return this.renderContents(); },

	lookupOption(name, sid, config) {
		for (const s of this.children)
			for (const o of s.children)
				if (o.option == name && (config ?? this.config) == this.config && (!sid || s.cfgsections().includes(sid)))
					return [ o, sid ?? s.cfgsections()[0] ];
		return null;
	}
});

return baseclass.extend(Object.assign({ Map: CBIMap }, options.types, sections.types));
