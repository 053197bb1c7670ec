// What must agree without being run: pages, roles, menu, methods, options, words.
import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { minify } from 'terser';
import { contract, files, json, load, own, read, resources } from './load.mjs';
import { catalogue, pot, strings, template } from '../pot.mjs';

const roles = json('rpcd/acl.d/luci-app-remsim.json');
const menu = json('luci-app-remsim/root/usr/share/luci/menu.d/luci-app-remsim.json');
const sources = files(resources).map(path => [ path.slice(resources.length), readFileSync(path, 'utf8') ]);

// The calls that api.js declares, by method.
function declared() {
	const calls = {};
	const rpc = { addInterceptor() {}, declare: o => { calls[`${o.object}.${o.method}`] = o; return o; } };
	load('remsim.api', { modules: { rpc } });
	return calls;
}

// The methods that roles grant: method -> [role, block].
function granted() {
	const out = {};
	for (const [ role, blocks ] of Object.entries(roles))
		for (const block of [ 'read', 'write' ])
			for (const method of blocks[block]?.ubus?.remsim ?? [])
				(out[method] ??= []).push([ role, block ]);
	return out;
}

test('every method that a page calls exists, with these arguments, in exactly one role', () => {
	const methods = contract('methods'), grants = granted();
	for (const [ name, call ] of Object.entries(declared())) {
		if (call.object != 'remsim') {
			assert.equal(name, 'session.access');
			continue;
		}
		assert.equal(grants[call.method]?.length, 1, `roles with ${call.method}`);
		assert.deepEqual(call.params, methods[call.method], call.method);
		assert.equal(call.reject, true, `${call.method} rejects`);
	}
});

// Methods for root's command line only. front writes to a modem's firmware: no role has it.
const shell = [ 'front' ];

test('every method of the daemon is in exactly one role and is used', () => {
	const grants = granted(), calls = declared();
	for (const method of shell)
		assert.equal(grants[method], undefined, method);
	for (const method of Object.keys(contract('methods')).filter(name => !shell.includes(name))) {
		assert.equal(grants[method]?.length, 1, method);
		assert.ok(calls[`remsim.${method}`], `${method} is called by no page`);
	}
});

test('what changes something stands under write, and no role grants files or programs', () => {
	const harmless = [ 'status', 'events', 'history', 'diagnose', 'discover', 'config', ':subscribe' ];
	for (const [ method, [ [ , block ] ] ] of Object.entries(granted()))
		assert.equal(block, harmless.includes(method) ? 'read' : 'write', method);
	for (const [ role, blocks ] of Object.entries(roles))
		for (const block of [ 'read', 'write' ])
			for (const [ scope, rules ] of Object.entries(blocks[block] ?? {})) {
				assert.ok([ 'ubus', 'uci' ].includes(scope), `${role} grants ${scope}`);
				assert.deepEqual(scope == 'uci' ? rules : Object.keys(rules), [ 'remsim' ], role);
			}
});

test('calls are declared in one place only', () => {
	for (const [ name, source ] of sources)
		if (name != 'remsim/api.js')
			assert.doesNotMatch(source, /rpc\.declare|'require (rpc|fs|request)'/, name);
});

test('every menu entry has its view and known roles, every view its entry', () => {
	const paths = Object.values(menu).filter(e => e.action.type == 'view').map(e => e.action.path);
	for (const path of paths)
		assert.ok(existsSync(`${resources}view/${path}.js`), path);
	assert.deepEqual(paths.map(p => `view/${p}.js`).sort(), sources.map(([ name ]) => name).filter(n => n.startsWith('view/remsim/')).sort());
	for (const [ path, entry ] of Object.entries(menu))
		for (const role of entry.depends.acl)
			assert.ok(roles[role], `${path} needs ${role}`);
});

// What the settings page offers: section.option -> option.
function offered() {
	const out = new Map();
	for (const [ type, fill ] of Object.entries(load('remsim.options').sections))
		fill({
			option(cls, name) {
				const o = { cls, values: [], value(v) { this.values.push(v); } };
				if (!name.startsWith('_'))
					out.set(`${type}.${name}`, o);
				return o;
			},
		}, { found: {}, report: {}, names: () => [] });
	return out;
}

test('every option stands in a form or is marked expert, and every field is read', () => {
	const table = contract('options'), forms = offered();
	assert.deepEqual([ ...forms.keys() ].sort(), table.filter(o => !o.expert).map(o => `${o.section}.${o.name}`).sort());
	for (const o of table.filter(t => !t.expert)) {
		const name = `${o.section}.${o.name}`, field = forms.get(name);
		assert.equal(field.cls == 'DynamicList', o.list, name);
		if (o.choices.length)
			assert.deepEqual(field.values.filter(v => v !== '').sort(), [ ...o.choices ].sort(), name);
		if (field.datatype?.startsWith('range'))
			assert.equal(field.datatype, `range(${o.min},${o.max})`, name);
		if (field.placeholder && o.default)
			assert.equal(field.placeholder, o.default, name);
		if (field.default && o.default)
			assert.equal(field.default, o.default, name);
	}
});

test('no page makes markup of text or carries colours of its own', () => {
	for (const [ name, source ] of sources) {
		assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/, name);
		assert.doesNotMatch(source, /#[0-9a-f]{3,6}\b(?!;)|rgba?\(|hsla?\(/i, name);
		// E(tag, attributes, X): as X, a bare string would become markup.
		for (const m of source.matchAll(/\bE\('\w+', \{[^{}]*\}, (?:['"`]|_\()/g))
			assert.fail(`${name}: a child outside of an array near ${m[0]}`);
		assert.doesNotMatch(source, /showModal\((?!\[)/, `${name}: showModal makes markup of a bare title`);
		for (const m of source.matchAll(/'style': (.*)/g))
			assert.match(m[1], /^`width:\$\{width\}%`/, `${name}: ${m[0]}`);
		assert.match(source, /^'use strict';\n/, name);
	}
});

test('every visible string is a literal in _()', () => {
	for (const [ name, source ] of sources)
		for (const m of source.matchAll(/(?<![\w$.])_\(([^'])/g))
			assert.ok(m[1] == ')', `${name}: _(${m[1]}…`);
});

test('the template is fresh and the German translation complete', () => {
	assert.equal(read(template), pot(), 'run: node tests/luci/pot.mjs');
	const german = catalogue('luci-app-remsim/po/de/remsim.po');
	const marks = text => (text.match(/%(%|s|d|\.\df)/g) ?? []).join(' ');
	for (const text of strings().keys()) {
		assert.ok(german.get(text), `not translated: ${text}`);
		assert.equal(marks(german.get(text)), marks(text), text);
	}
	assert.deepEqual([ ...german.keys() ].filter(text => !strings().has(text)), [], 'nobody says this any more');
});

test('all of it is at most 100 KB when minified', async t => {
	let total = 0;
	for (const [ name, source ] of sources) {
		const { code } = await minify({ [name]: source }, { parse: { bare_returns: true }, mangle: true, compress: false });
		total += Buffer.byteLength(code);
	}
	t.diagnostic(`${total} bytes minified, ${sources.length} files`);
	assert.ok(total <= 100000, `${total} bytes`);
	for (const path of files(own))
		assert.ok(readFileSync(path, 'utf8').split('\n').length < 400, `${path} is too long`);
});
