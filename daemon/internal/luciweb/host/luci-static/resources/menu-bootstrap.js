'use strict';
'require baseclass';
'require ui';

/* The main menu and the tabs of a page. */
return baseclass.extend({
	__init__() {
		ui.menu.load().then((tree) => this.render(tree));
	},

	render(tree) {
		const [ mode, ...path ] = L.env.dispatchpath;
		const top = document.querySelector('#topmenu');
		for (const section of ui.menu.getChildren(tree.children?.[mode])) {
			const entries = ui.menu.getChildren(section);
			const active = section.name == path[0];
			top.appendChild(E('li', { 'class': `${entries.length ? 'dropdown' : ''} ${active ? 'active' : ''}`.trim() }, [
				E('a', { 'class': entries.length ? 'menu' : '', 'href': L.url(mode, section.name), 'aria-current': active ? 'true' : null }, [ _(section.title) ]),
				entries.length ? E('ul', { 'class': 'dropdown-menu' }, entries.map((e) => E('li', {}, [
					E('a', { 'href': L.url(mode, section.name, e.name) }, [ _(e.title) ])
				]))) : ''
			]));
		}
		top.style.display = '';
		const page = tree.children?.[mode]?.children?.[path[0]]?.children?.[path[1]];
		if (page)
			this.tabs(page, [ mode, path[0], path[1] ], path.slice(2));
	},

	/* One row of tabs for each level below the menu's entry. */
	tabs(node, base, rest) {
		const children = ui.menu.getChildren(node);
		if (!children.length)
			return;
		const box = document.querySelector('#tabmenu');
		box.appendChild(E('ul', { 'class': 'tabs' }, children.map((c) => E('li', { 'class': `tabmenu-item-${c.name} ${c.name == rest[0] ? 'active' : ''}`.trim() }, [
			E('a', { 'href': L.url(...base, c.name), 'aria-current': c.name == rest[0] ? 'page' : null }, [ _(c.title) ])
		]))));
		box.style.display = '';
		const active = children.find((c) => c.name == rest[0]);
		if (active)
			this.tabs(active, [ ...base, active.name ], rest.slice(1));
	}
});
