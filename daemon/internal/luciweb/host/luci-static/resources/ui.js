'use strict';
'require baseclass';
'require dom';
'require request';
'require session';
'require ui-changes as changes';
'require ui-widgets as widgets';

/* Dialogs, notifications, indicators, the menu and tabs, as LuCI's views use
   them. */

let before = null; /* what had the focus before a dialog */

function overlay() {
	return document.getElementById('modal_overlay') ?? document.body.appendChild(E('div', {
		'id': 'modal_overlay', 'tabindex': '-1', 'keydown': (ev) => { if (ev.key == 'Escape') ev.currentTarget.querySelector('.cbi-button-cancel, [data-cancel]')?.click(); }
	}, [
		E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': 'true' })
	]));
}

const menu = {
	tree: null,
	async load() {
		this.tree ??= session.getLocalData('menu');
		if (!this.tree) {
			this.tree = (await request.get(L.url('admin/menu'))).json();
			session.setLocalData('menu', this.tree);
		}
		return this.tree;
	},
	flushCache() { session.setLocalData('menu', null); },
	getChildren(node) {
		const children = (node ?? this.tree)?.children ?? {};
		return Object.keys(children).filter((name) => children[name].satisfied && children[name].title)
			.map((name) => Object.assign({ name }, children[name]))
			.sort((a, b) => (a.order ?? 1000) - (b.order ?? 1000) || L.naturalCompare(a.name, b.name));
	}
};

const tabs = {
	/* Turn the children of a node that carry data-tab into panes with a row of
	   tabs above them. */
	initTabGroup(panes) {
		const list = [ ...panes ].filter((p) => p.getAttribute('data-tab'));
		if (!list.length)
			return;
		const row = E('ul', { 'class': 'cbi-tabmenu', 'role': 'tablist' });
		const show = (pane) => {
			list.forEach((p) => {
				p.setAttribute('data-tab-active', p === pane ? 'true' : 'false');
				p.classList.toggle('hidden', p !== pane);
			});
			[ ...row.children ].forEach((li, i) => {
				li.className = list[i] === pane ? 'cbi-tab' : 'cbi-tab-disabled';
				li.firstChild.setAttribute('aria-selected', list[i] === pane ? 'true' : 'false');
			});
			pane.dispatchEvent(new CustomEvent('cbi-tab-active', { detail: { tab: pane.getAttribute('data-tab') } }));
		};
		for (const pane of list)
			row.appendChild(E('li', { 'class': 'cbi-tab-disabled', 'data-tab': pane.getAttribute('data-tab'), 'role': 'presentation' }, [
				E('a', { 'href': '#', 'role': 'tab', 'click': (ev) => { ev.preventDefault(); show(pane); } }, [ pane.getAttribute('data-tab-title') ?? pane.getAttribute('data-tab') ])
			]));
		list[0].parentNode.insertBefore(row, list[0]);
		show(list.find((p) => p.getAttribute('data-tab-active') == 'true') ?? list[0]);
	},
	switchTab(ev) { ev.preventDefault(); }
};

const UI = baseclass.extend(Object.assign({
	changes, menu, tabs,

	instantiateView(path) {
		return L.require(`view.${path.replaceAll('/', '.')}`).catch((e) => {
			dom.content(document.getElementById('view'), null);
			L.error(e);
		});
	},

	showModal(title, children, ...classes) {
		const box = overlay(), dialog = box.firstElementChild;
		before ??= document.activeElement;
		dialog.className = [ 'modal', ...classes.filter((c) => c) ].join(' ');
		dialog.setAttribute('aria-labelledby', 'modal_title');
		dom.content(dialog, title ? E('h4', { 'id': 'modal_title' }, [ title ]) : null);
		dom.append(dialog, children);
		document.body.classList.add('modal-overlay-active');
		box.focus();
		(dialog.querySelector('input, select, textarea, button') ?? box).focus();
		return dialog;
	},

	hideModal() {
		document.body.classList.remove('modal-overlay-active');
		dom.content(overlay().firstElementChild, null);
		before?.focus?.();
		before = null;
	},

	addNotification(title, children, ...classes) {
		const box = document.querySelector('#maincontent') ?? document.body;
		const note = E('div', { 'class': [ 'alert-message', 'fade-in', ...classes.filter((c) => c) ].join(' '), 'role': 'alert' }, [
			E('div', { 'class': 'alert-body' }, [ title ? E('h4', {}, [ title ]) : '' ]),
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn', 'click': () => note.remove() }, [ _('Dismiss') ])
			])
		]);
		dom.append(note.firstElementChild, children);
		box.insertBefore(note, box.firstElementChild);
		return note;
	},

	addTimeLimitedNotification(title, children, timeout, ...classes) {
		const note = this.addNotification(title, children, ...classes);
		if (timeout > 0)
			window.setTimeout(() => note.remove(), timeout);
		return note;
	},

	showIndicator(id, label, handler, style) {
		const box = document.querySelector('#indicators');
		if (!box)
			return false;
		let mark = box.querySelector(`[data-indicator="${id}"]`);
		if (!mark)
			mark = box.appendChild(E('span', { 'data-indicator': id }));
		mark.setAttribute('data-style', style == 'inactive' ? 'inactive' : 'active');
		mark.setAttribute('data-clickable', handler ? 'true' : 'false');
		dom.content(mark, [ handler ? E('button', { 'class': 'indicator', 'click': handler }, [ label ]) : label ]);
		return true;
	},

	hideIndicator(id) {
		document.querySelector(`#indicators [data-indicator="${id}"]`)?.remove();
		return true;
	},

	/* A handler that locks its button and shows that it works until its promise
	   has ended. */
	createHandlerFn(ctx, fn, ...args) {
		const call = typeof(fn) == 'string' ? ctx[fn] : fn;
		if (typeof(call) != 'function')
			return null;
		return (ev) => {
			const target = ev.currentTarget;
			target.classList.add('spinning');
			target.disabled = true;
			target.blur();
			return Promise.resolve().then(() => call.apply(ctx, [ ...args, ev ])).catch((e) => L.error(e)).finally(() => {
				target.classList.remove('spinning');
				target.disabled = false;
			});
		};
	},

	itemlist(node, items, separators) {
		const pairs = [];
		for (let i = 0; i + 1 < items.length; i += 2)
			if (items[i + 1] != null && items[i + 1] !== '')
				pairs.push(E('strong', {}, [ `${items[i]}: ` ]), items[i + 1], separators?.[0] ?? E('br'));
		dom.content(node, pairs.slice(0, -1));
		return node;
	},

	/* Mark an input as valid or not whenever it changes. */
	addValidator(field, type, optional, vfunc, ...events) {
		const check = () => {
			const message = L.validation.check(field.value, type, optional, vfunc);
			field.classList.toggle('cbi-input-invalid', message !== true);
			if (message === true)
				field.removeAttribute('data-tooltip');
			else
				field.setAttribute('data-tooltip', message);
			return message === true;
		};
		(events.length ? events : [ 'change', 'blur', 'keyup' ]).forEach((name) => field.addEventListener(name, check));
		check();
		return check;
	}
}, widgets.types));

return UI;
