'use strict';
'require baseclass';
'require rpc';

/* The configuration as the page sees it: what was read, with what the page has
   changed on top, until save sends that to the session. */

const call = (method, params, expect) => rpc.declare({ object: 'uci', method, params, expect, reject: true });
const callGet = call('get', [ 'config' ], { values: {} });
const callAdd = call('add', [ 'config', 'type', 'name', 'values' ], { section: '' });
const callSet = call('set', [ 'config', 'section', 'values' ]);
const callDelete = call('delete', [ 'config', 'section', 'options' ]);
const callOrder = call('order', [ 'config', 'sections' ]);
const callApply = call('apply', [ 'timeout', 'rollback' ]);
const callConfirm = call('confirm');

let serial = 0;

return baseclass.extend({
	__init__() {
		this.state = { values: {}, creates: {}, changes: {}, deletes: {}, reorder: {} };
		this.loaded = {};
	},

	changes: rpc.declare({ object: 'uci', method: 'changes', expect: { changes: {} } }),

	load(packages) {
		return Promise.all(L.toArray(packages).map((conf) => this.loaded[conf] ??= callGet(conf).then((values) => {
			this.state.values[conf] = values;
			return conf;
		}).catch((e) => {
			delete this.loaded[conf];
			throw e;
		})));
	},

	unload(packages) {
		for (const conf of L.toArray(packages)) {
			delete this.loaded[conf];
			for (const part of Object.values(this.state))
				delete part[conf];
		}
	},

	/* All sections of a file in their order, as they are now on this page. */
	all(conf) {
		const { values, creates, changes, deletes } = this.state;
		const out = [ ...Object.values(values[conf] ?? {}), ...Object.values(creates[conf] ?? {}) ].filter((s) => deletes[conf]?.[s['.name']] !== true).map((s) => {
			const name = s['.name'];
			const merged = Object.assign({}, s, changes[conf]?.[name]);
			for (const option of Object.keys(deletes[conf]?.[name] ?? {}))
				delete merged[option];
			return merged;
		});
		return out.sort((a, b) => a['.index'] - b['.index']);
	},

	sections(conf, type, callback) {
		const out = this.all(conf).filter((s) => !type || s['.type'] == type);
		if (typeof(callback) == 'function')
			out.forEach((s) => callback.call(this, s, s['.name']));
		return out;
	},

	resolveSID(conf, sid) {
		const m = /^@([a-zA-Z0-9_-]+)\[(-?\d+)\]$/.exec(sid ?? '');
		return m ? this.sections(conf, m[1]).at(+m[2])?.['.name'] ?? sid : sid;
	},

	get(conf, sid, option) {
		const name = this.resolveSID(conf, sid);
		const section = this.all(conf).find((s) => s['.name'] == name);
		if (!section)
			return null;
		return option != null ? section[option] ?? null : section;
	},

	get_first(conf, type, option) {
		const s = this.sections(conf, type)[0];
		return s ? (option != null ? s[option] ?? null : s) : null;
	},

	get_bool(conf, sid, option) {
		return [ '1', 'on', 'true', 'yes', 'enabled' ].includes(String(this.get(conf, sid, option) ?? '').toLowerCase());
	},

	set(conf, sid, option, value) {
		const name = this.resolveSID(conf, sid);
		if (name == null || option == null || option.startsWith('.'))
			return;
		if (value == null || value === '') {
			this.unset(conf, name, option);
			return;
		}
		const text = Array.isArray(value) ? value.map(String) : String(value);
		const created = this.state.creates[conf]?.[name];
		if (created) {
			created[option] = text;
			return;
		}
		if (!this.state.values[conf]?.[name])
			return;
		delete this.state.deletes[conf]?.[name]?.[option];
		const old = this.state.values[conf][name][option];
		((this.state.changes[conf] ??= {})[name] ??= {})[option] = text;
		if (JSON.stringify(old) == JSON.stringify(text))
			this.forget(conf, name, option);
	},

	/* A change that leads back to what was read is none. */
	forget(conf, name, option) {
		const section = this.state.changes[conf][name];
		delete section[option];
		if (!Object.keys(section).length)
			delete this.state.changes[conf][name];
	},

	set_first(conf, type, option, value) { this.set(conf, this.sections(conf, type)[0]?.['.name'], option, value); },

	unset(conf, sid, option) {
		const name = this.resolveSID(conf, sid);
		const created = this.state.creates[conf]?.[name];
		if (created) {
			delete created[option];
			return;
		}
		if (this.state.changes[conf]?.[name])
			this.forget(conf, name, option);
		if (this.state.values[conf]?.[name]?.[option] != null && this.state.deletes[conf]?.[name] !== true)
			((this.state.deletes[conf] ??= {})[name] ??= {})[option] = true;
	},

	add(conf, type, name) {
		const sid = name ?? `new${Date.now().toString(16)}${serial++}`;
		const index = Math.max(0, ...this.all(conf).map((s) => s['.index'] ?? 0)) + 1;
		(this.state.creates[conf] ??= {})[sid] = {
			'.type': type, '.name': sid, '.create': name ?? null, '.anonymous': !name, '.index': 1000 + index + serial
		};
		return sid;
	},

	remove(conf, sid) {
		const name = this.resolveSID(conf, sid);
		if (this.state.creates[conf]?.[name])
			delete this.state.creates[conf][name];
		else if (this.state.values[conf]?.[name]) {
			delete this.state.changes[conf]?.[name];
			(this.state.deletes[conf] ??= {})[name] = true;
		}
	},

	/* Put sid1 before sid2, or after it. */
	move(conf, sid1, sid2, after) {
		const order = this.all(conf);
		const from = order.findIndex((s) => s['.name'] == sid1);
		if (from < 0)
			return false;
		const [ moved ] = order.splice(from, 1);
		const to = sid2 == null ? order.length : order.findIndex((s) => s['.name'] == sid2) + (after ? 1 : 0);
		order.splice(to, 0, moved);
		order.forEach((s, i) => {
			const raw = this.state.creates[conf]?.[s['.name']] ?? this.state.values[conf]?.[s['.name']];
			raw['.index'] = i;
		});
		this.state.reorder[conf] = true;
		return true;
	},

	/* Send what the page has changed to the session, then read anew. */
	async save() {
		const { creates, changes, deletes, reorder } = this.state;
		const touched = Object.keys(this.loaded).filter((c) => [ creates, changes, deletes ].some((p) => Object.keys(p[c] ?? {}).length) || reorder[c]);
		for (const conf of touched) {
			const named = {};
			for (const [ sid, s ] of Object.entries(creates[conf] ?? {})) {
				const values = Object.fromEntries(Object.entries(s).filter(([ k ]) => !k.startsWith('.')));
				named[sid] = await callAdd(conf, s['.type'], s['.create'] ?? undefined, values);
			}
			for (const [ sid, values ] of Object.entries(changes[conf] ?? {}))
				if (Object.keys(values).length)
					await callSet(conf, sid, values);
			for (const [ sid, options ] of Object.entries(deletes[conf] ?? {})) {
				if (options !== true && !Object.keys(options).length)
					continue;
				await callDelete(conf, sid, options === true ? undefined : Object.keys(options));
			}
			if (reorder[conf])
				await callOrder(conf, this.all(conf).map((s) => named[s['.name']] ?? s['.name']));
		}
		this.unload(touched);
		return this.load(touched);
	},

	/* Write what the session has set; the router goes back if nobody confirms that
	   it still answers. */
	async apply(timeout = 10) {
		await callApply(Math.max(1, timeout), true);
		const until = Date.now() + timeout * 1000;
		for (;;) {
			await new Promise((resolve) => window.setTimeout(resolve, 1000));
			try {
				return await callConfirm();
			}
			catch (e) {
				if (Date.now() > until)
					throw e;
			}
		}
	}
});
