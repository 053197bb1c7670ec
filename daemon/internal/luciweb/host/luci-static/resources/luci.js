/* The part of LuCI's client API that the remsim views use, for pages that are
   served without LuCI: classes, modules, DOM, requests, poll, session, views.
   Written from the documented behaviour; see luci-app-remsim/README.md. */
(function(window, document) {
	'use strict';

	const env = {};
	const classes = {};
	let L = null;

	/* --- classes --- */

	let serial = 0;
	const stack = {};

	function Base() {}
	Base.prototype = {
		constructor: Base,
		varargs(args, offset, ...first) { return first.concat([ ...args ].slice(offset)); },
		/* The value of key above the method that runs now, called if arguments are
		   given. */
		super(key, ...args) {
			const slot = `${this.__id__}.${key}`;
			const chain = stack[slot] ?? [];
			let proto = Object.getPrototypeOf(chain[0] ?? Object.getPrototypeOf(this));
			while (proto && !Object.hasOwn(proto, key))
				proto = Object.getPrototypeOf(proto);
			if (!proto)
				return null;
			if (!args.length)
				return proto[key];
			const list = (Array.isArray(args[0]) || L.isArguments(args[0])) ? args[0] : args;
			stack[slot] = [ proto, ...chain ];
			try {
				return proto[key].apply(this, list);
			}
			finally {
				stack[slot] = chain;
			}
		},
		toString() { return `[${this.constructor.displayName}]`; }
	};
	Object.assign(Base, {
		displayName: 'BaseClass',
		extend(props) {
			const parent = this;
			const child = function(...args) {
				if (typeof(this.__init__) == 'function')
					this.__init__(...args);
			};
			child.prototype = Object.create(parent.prototype, { __id__: { value: serial++ } });
			for (const key of Object.keys(props))
				Object.defineProperty(child.prototype, key, { value: props[key], writable: true, configurable: true, enumerable: true });
			child.prototype.constructor = child;
			Object.assign(child, parent);
			child.displayName = `${props.__name__ ?? `anonymous${serial}`}Class`;
			return child;
		},
		singleton(props, ...args) { return new (Base.extend(props))(...args); },
		instantiate(args) { return new this(...args); },
		call(self, method, ...args) { return this.prototype[method].call(self, method, ...args); },
		isSubclass(value) { return typeof(value) == 'function' && value.prototype instanceof this; }
	});

	/* --- DOM --- */

	const registry = new WeakMap();
	const dom = {
		elem: (e) => e != null && typeof(e) == 'object' && 'nodeType' in e,
		parse: (s) => new DOMParser().parseFromString(s, 'text/html').body.firstChild,
		matches: (node, selector) => !!node?.matches?.(selector),
		parent: (node, selector) => node?.closest?.(selector) ?? null,
		append(node, children) {
			if (!this.elem(node))
				return null;
			if (typeof(children) == 'function')
				return this.append(node, children(node));
			if (Array.isArray(children))
				children.filter((c) => c != null).forEach((c) => node.appendChild(this.elem(c) ? c : document.createTextNode(`${c}`)));
			else if (this.elem(children))
				return node.appendChild(children);
			else if (children != null)
				node.innerHTML = `${children}`; /* as LuCI does: a bare string is markup */
			return node.lastChild;
		},
		content(node, children) {
			if (!this.elem(node))
				return null;
			node.querySelectorAll('[data-idref]').forEach((n) => registry.delete(n));
			while (node.firstChild)
				node.removeChild(node.firstChild);
			return this.append(node, children);
		},
		attr(node, key, value) {
			const attrs = L.isObject(key) ? key : { [key]: value };
			for (const name of Object.keys(attrs)) {
				const v = attrs[name];
				if (v == null)
					continue;
				if (typeof(v) == 'function')
					node.addEventListener(name, v);
				else
					node.setAttribute(name, typeof(v) == 'object' ? JSON.stringify(v) : v);
			}
			return null;
		},
		/* create(tag, [attributes], [children]); an array instead of a tag makes a
		   fragment. */
		create(html, attr, data) {
			if (attr != null && (typeof(attr) != 'object' || Array.isArray(attr) || this.elem(attr))) {
				data = attr;
				attr = null;
			}
			let node;
			if (this.elem(html))
				node = html;
			else if (Array.isArray(html)) {
				node = document.createDocumentFragment();
				html.forEach((c) => { if (c != null) node.appendChild(this.elem(c) ? c : document.createTextNode(`${c}`)); });
				return node;
			}
			else if (html.charCodeAt(0) === 60)
				node = this.parse(html);
			else
				node = document.createElement(html);
			if (attr)
				this.attr(node, attr);
			this.append(node, data);
			return node;
		},
		data(node, key, value) {
			const all = registry.get(node) ?? {};
			if (key === undefined)
				return all;
			if (value === undefined)
				return all[key] ?? null;
			all[key] = value;
			registry.set(node, all);
			return value;
		},
		bindClassInstance(node, instance) {
			node.setAttribute('data-idref', 'bound');
			this.data(node, '_class', instance);
			return instance;
		},
		findClassInstance(node) {
			for (let n = node; n != null; n = n.parentNode)
				if (registry.get(n)?._class)
					return registry.get(n)._class;
			return null;
		},
		callClassMethod(node, method, ...args) {
			const instance = this.findClassInstance(node);
			return typeof(instance?.[method]) == 'function' ? instance[method](...args) : null;
		},
		isEmpty: (node, ignore) => ![ ...(node?.children ?? []) ].some((c) => !c.classList.contains('hidden') && !ignore?.(c))
	};
	window.E = (...args) => dom.create(...args);

	/* --- requests --- */

	class Response {
		constructor(status, statusText, headers, body, url) {
			Object.assign(this, { ok: status >= 200 && status <= 299, status, statusText, headers, body, url });
		}

		json() { return typeof(this.body) == 'string' ? JSON.parse(this.body) : this.body; }
		text() { return typeof(this.body) == 'string' ? this.body : JSON.stringify(this.body); }
		get responseText() { return this.text(); }
	}

	const interceptors = [];
	const request = {
		async request(target, options) {
			const opt = Object.assign({ method: 'GET' }, options);
			const url = new URL(target, window.location.href);
			for (const [ k, v ] of Object.entries(opt.query ?? {}))
				if (v != null)
					url.searchParams.set(k, typeof(v) == 'object' ? JSON.stringify(v) : v);
			const headers = Object.assign({}, opt.headers);
			let body = opt.content;
			if (body != null && typeof(body) == 'object' && !(body instanceof FormData)) {
				body = JSON.stringify(body);
				headers['Content-Type'] = 'application/json';
			}
			const res = await fetch(url, {
				method: opt.method.toUpperCase(), headers, body, cache: opt.cache ? 'default' : 'no-store',
				signal: opt.timeout ? AbortSignal.timeout(opt.timeout) : null
			}).catch((e) => { throw new Error(e.name == 'TimeoutError' ? 'XHR request timed out' : 'XHR request aborted by browser'); });
			const reply = new Response(res.status, res.statusText, res.headers, await res.text(), String(url));
			for (const fn of interceptors)
				await fn(reply);
			return reply;
		},
		get(url, options) { return this.request(url, Object.assign({ method: 'GET' }, options)); },
		post(url, content, options) { return this.request(url, Object.assign({ method: 'POST', content }, options)); },
		addInterceptor(fn) { interceptors.push(fn); return fn; },
		removeInterceptor(fn) {
			const i = interceptors.indexOf(fn);
			if (i >= 0)
				interceptors.splice(i, 1);
			return i >= 0;
		},
		poll: {
			add: (interval, url, options, callback) => {
				const fn = () => request.request(url, options).then((res) => callback(res, null));
				return poll.add(fn, interval) ? fn : null;
			},
			remove: (fn) => poll.remove(fn), start: () => poll.start(), stop: () => poll.stop(), active: () => poll.active()
		}
	};

	/* --- poll: each function is called every interval seconds, but never again
	   before its former promise has ended --- */

	const poll = {
		queue: [],
		tick: null,
		timer: null,
		add(fn, interval) {
			if (typeof(fn) != 'function')
				throw new TypeError('Invalid argument to LuCI.poll.add()');
			if (this.queue.some((e) => e.fn === fn))
				return false;
			this.queue.push({ fn, interval: (interval || env.pollinterval || 5) >>> 0, ready: true });
			if (this.tick != null && !this.active())
				this.start();
			return true;
		},
		remove(fn) {
			const before = this.queue.length;
			this.queue = this.queue.filter((e) => e.fn !== fn);
			if (!this.queue.length && this.stop())
				this.tick = 0;
			return this.queue.length != before;
		},
		start() {
			if (this.active())
				return false;
			this.tick = 0;
			if (this.queue.length) {
				this.timer = window.setInterval(() => this.step(), 1000);
				this.step();
				document.dispatchEvent(new CustomEvent('poll-start'));
			}
			return true;
		},
		stop() {
			if (!this.active())
				return false;
			document.dispatchEvent(new CustomEvent('poll-stop'));
			window.clearInterval(this.timer);
			this.timer = null;
			this.tick = null;
			return true;
		},
		step() {
			for (const e of [ ...this.queue ]) {
				if (this.tick % e.interval != 0 || !e.ready)
					continue;
				e.ready = false;
				Promise.resolve(e.fn()).finally(() => { e.ready = true; });
			}
			this.tick++;
		},
		active() { return this.timer != null; }
	};

	/* --- session data that the browser keeps --- */

	const session = {
		getID: () => env.sessionid ?? '00000000000000000000000000000000',
		getToken: () => env.token ?? null,
		getLocalData(key) {
			try {
				return JSON.parse(sessionStorage.getItem(`luci-session-store:${this.getID()}`) ?? '{}')[key] ?? null;
			}
			catch {
				return null;
			}
		},
		setLocalData(key, value) {
			const name = `luci-session-store:${this.getID()}`;
			try {
				const all = JSON.parse(sessionStorage.getItem(name) ?? '{}');
				if (value == null)
					delete all[key];
				else
					all[key] = value;
				sessionStorage.setItem(name, JSON.stringify(all));
				return true;
			}
			catch {
				return false;
			}
		}
	};

	/* --- modules --- */

	/* The directives at the top of a module, up to the first other statement. */
	function directives(source) {
		const found = [];
		const at = /\s*(?:\/\*[\s\S]*?\*\/|\/\/[^\n]*\n|(['"])([^'"\n]*)\1\s*;?)/y;
		for (let m; (m = at.exec(source));) {
			const req = /^require[ \t]+(\S+)(?:[ \t]+as[ \t]+([a-zA-Z_]\S*))?$/.exec(m[2] ?? '');
			if (req)
				found.push({ name: req[1], as: req[2] ?? req[1].replace(/[^a-zA-Z0-9_]/g, '_') });
			else if (m[2] != null && !/^use[ \t]+strict$/.test(m[2]))
				break;
		}
		return found;
	}

	async function load(name, from) {
		const url = `${env.resource}/${name.replaceAll('.', '/')}.js`;
		const res = await request.get(url, { cache: true });
		if (!res.ok)
			L.raise('NetworkError', 'HTTP error %d while loading class file "%s"', res.status, url);
		const deps = directives(res.text());
		const instances = await Promise.all(deps.map((d) => L.require(d.name, from)));
		const factory = new Function('window', 'document', 'L', ...deps.map((d) => d.as), `${res.text()}\n//# sourceURL=${res.url}`);
		const made = factory(window, document, L, ...instances);
		if (!Base.isSubclass(made))
			L.raise('TypeError', '"%s" factory yields invalid constructor', name);
		made.displayName = made.displayName.startsWith('anonymous')
			? `${name.replace(/(?:^|[. -])(.)/g, (m, c) => c.toUpperCase())}Class` : made.displayName;
		const instance = new made();
		let at = LuCI.prototype;
		const parts = name.split('.');
		for (let i = 0; at && i < parts.length - 1; i++)
			at = at[parts[i]];
		if (at)
			at[parts.at(-1)] = instance;
		classes[name] = instance;
		return instance;
	}

	/* --- views --- */

	const View = Base.extend({
		__name__: 'LuCI.view',
		__init__() {
			const box = document.getElementById('view');
			dom.content(box, E('div', { 'class': 'spinning' }, [ _('Loading view…') ]));
			Promise.resolve().then(() => this.load()).then((data) => this.render(data)).then((nodes) => {
				dom.content(box, nodes);
				dom.append(box, this.addFooter());
			}).catch((e) => L.error(e));
		},
		load() {},
		render() {},
		handleSave() { return Promise.all([ ...document.querySelectorAll('#view .cbi-map') ].map((m) => dom.callClassMethod(m, 'save'))); },
		handleSaveApply(ev, mode) { return this.handleSave(ev).then(() => classes.ui.changes.apply(mode == '0')); },
		handleReset() { return Promise.all([ ...document.querySelectorAll('#view .cbi-map') ].map((m) => dom.callClassMethod(m, 'reset'))); },
		addFooter() {
			const ui = classes.ui;
			const maps = [ ...document.querySelectorAll('#view .cbi-map') ].map((m) => dom.findClassInstance(m));
			const locked = maps.length > 0 && maps.every((m) => m?.readonly);
			const button = (label, style, fn) => this[fn]
				? E('button', { 'class': `cbi-button cbi-button-${style} ${style == 'apply' ? 'important' : ''}`.trim(), 'click': ui.createHandlerFn(this, (ev) => this[fn](ev, '0')), 'disabled': locked || null }, [ label ]) : null;
			const buttons = [
				button(_('Save & Apply'), 'apply', 'handleSaveApply'), button(_('Save'), 'save', 'handleSave'), button(_('Reset'), 'reset', 'handleReset')
			].filter((b) => b);
			return E([ buttons.length ? E('div', { 'class': 'cbi-page-actions' }, buttons.flatMap((b) => [ b, ' ' ])) : null ]);
		}
	});

	/* --- L --- */

	const collator = new Intl.Collator(undefined, { numeric: true }).compare;
	const LuCI = Base.extend({
		__name__: 'LuCI',
		env, dom, Poll: poll, Request: request, Class: Base, view: View,
		__init__(setenv) {
			L = window.L = this;
			Object.assign(env, setenv);
			Object.assign(classes, {
				baseclass: Base, dom, poll, request, session, view: View
			});
			const ready = new Promise((resolve) => document.addEventListener('DOMContentLoaded', resolve));
			Promise.all([ ready, this.require('ui'), this.require('rpc') ]).then(() => this.setup()).catch((e) => this.error(e));
		},
		setup() {
			const { ui, rpc } = classes;
			rpc.addInterceptor((msg, req) => {
				if (msg?.error?.code != -32002 || (req.object == 'session' && req.method == 'access'))
					return null;
				return rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: true } })('uci', 'luci', 'read')
					.catch(() => this.notifySessionExpiry());
			});
			request.addInterceptor((res) => {
				if (res.status == 403 && res.headers.get('X-LuCI-Login-Required') == 'yes')
					this.notifySessionExpiry();
			});
			const toggle = () => poll.active() ? poll.stop() : poll.start();
			document.addEventListener('poll-start', () => ui.showIndicator('poll-status', _('Refreshing'), toggle));
			document.addEventListener('poll-stop', () => ui.showIndicator('poll-status', _('Paused'), toggle, 'inactive'));
			ui.changes.init();
			poll.start();
			this.loaded = true;
			document.dispatchEvent(new CustomEvent('luci-loaded'));
		},
		notifySessionExpiry() {
			poll.stop();
			classes.ui.showModal(_('Session expired'), [
				E('div', { 'class': 'alert-message warning' }, [ _('A new login is required since the authentication session expired.') ]),
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn primary', 'click': () => window.location.reload() }, [ _('Log in…') ])
				])
			]);
			this.raise('SessionError', 'Login session is expired');
		},
		require(name, from = []) {
			if (from.includes(name))
				this.raise('DependencyError', 'Circular dependency: class "%s" depends on "%s"', name, from.join('" which depends on "'));
			classes[name] ??= load(name, [ name, ...from ]);
			return Promise.resolve(classes[name]);
		},
		raise(type, fmt, ...args) {
			const e = type instanceof Error ? type : Object.assign(new Error(String(fmt ?? 'Unspecified error').format(...args)), { name: type ?? 'Error' });
			throw e;
		},
		error(type, fmt, ...args) {
			const e = type instanceof Error ? type : Object.assign(new Error(String(fmt ?? '').format(...args)), { name: type });
			if (!e.reported) {
				e.reported = true;
				console.error(e);
				if (typeof(classes.ui?.addNotification) == 'function')
					classes.ui.addNotification(e.name || _('Runtime error'), E('pre', {}, [ e.message ]), 'danger');
			}
			throw e;
		},
		bind: (fn, self, ...args) => fn.bind(self, ...args),
		path: (prefix, parts) => [ prefix, ...parts.flat() ].filter((p) => p != null && p !== '').join('/').replace(/\/\?/, '?') || '/',
		url(...parts) { return this.path(env.scriptname, parts); },
		resource(...parts) { return this.path(env.resource, parts); },
		media(...parts) { return this.path(env.media, parts); },
		fspath(...parts) { return this.path(env.documentroot, parts).replace(/\/+/g, '/'); },
		location() { return this.path(env.scriptname, env.requestpath); },
		isObject: (v) => v != null && typeof(v) == 'object',
		isArguments: (v) => Object.prototype.toString.call(v) == '[object Arguments]',
		naturalCompare: collator,
		sortedKeys: (obj, key) => L.isObject(obj) ? Object.keys(obj).sort((a, b) => collator(key != null ? obj[a][key] : a, key != null ? obj[b][key] : b)) : [],
		sortedArray: (v) => L.toArray(v).sort(collator),
		toArray: (v) => v == null || v === '' ? [] : Array.isArray(v) ? v : typeof(v) == 'object' ? [ v ] : String(v).trim().split(/\s+/).filter((s) => s != ''),
		resolveDefault: (value, fallback) => Promise.resolve(value).catch(() => fallback),
		hasViewPermission: () => env.nodespec?.satisfied ? !env.nodespec.readonly : null,
		hasSystemFeature: () => false,
		loaded: false
	});
	window.LuCI = LuCI;
})(window, document);
