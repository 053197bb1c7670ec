'use strict';
'require view';
'require dom';
'require poll';
'require rpc';

/* LuCI's status page: one section for each file of status/include. */

const list = rpc.declare({ object: 'file', method: 'list', params: [ 'path' ], expect: { entries: [] } });

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return L.resolveDefault(list(L.fspath(L.resource('view/status/include'))), []).then((entries) => Promise.all(
			entries.map((e) => e.name).filter((n) => n.endsWith('.js')).sort().map((n) => L.require(`view.status.include.${n.slice(0, -3)}`))));
	},

	render(includes) {
		const boxes = includes.map(() => E('div'));
		const update = () => Promise.all(includes.map((inc, i) => Promise.resolve(inc.load?.()).then((data) => {
			const nodes = inc.render(data);
			if (nodes != null)
				dom.content(boxes[i], nodes);
		}).catch(() => {})));
		poll.add(update);
		return update().then(() => E('div', {}, includes.map((inc, i) => E('div', { 'class': 'cbi-section' }, [
			E('div', { 'class': 'cbi-title' }, [ E('h3', {}, [ inc.title ?? '-' ]) ]), boxes[i]
		]))));
	}
});
