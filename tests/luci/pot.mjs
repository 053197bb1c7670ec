// Makes po/templates/remsim.pot from the _() of the pages, the titles of the menu
// and the descriptions of the roles: node pot.mjs, or with --check to compare.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { files, json, read, resources } from './node/load.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const template = 'luci-app-remsim/po/templates/remsim.pot';
const menu = 'luci-app-remsim/root/usr/share/luci/menu.d/luci-app-remsim.json';
const roles = 'rpcd/acl.d/luci-app-remsim.json';

// The text of a quoted string as it stands in the source.
const plain = quoted => quoted.replace(/\\(.)/g, '$1');

// All strings with the places where they stand, by text.
export function strings() {
	const found = new Map();
	const add = (text, place) => found.set(text, [ ...(found.get(text) ?? []), place ]);
	for (const path of files(resources)) {
		const source = readFileSync(path, 'utf8');
		for (const m of source.matchAll(/(?<![\w$.])_\('((?:[^'\\]|\\.)*)'\)/g))
			add(plain(m[1]), `${path.slice(root.length)}:${source.slice(0, m.index).split('\n').length}`);
	}
	for (const entry of Object.values(json(menu)))
		add(entry.title, menu);
	for (const role of Object.values(json(roles)))
		add(role.description, roles);
	return new Map([ ...found ].sort(([ a ], [ b ]) => a < b ? -1 : 1));
}

export const quote = text => `"${text.replace(/[\\"]/g, '\\$&')}"`;

export function pot() {
	const entries = [ ...strings() ].map(([ text, places ]) => `${[ ...new Set(places) ].map(p => `#: ${p}\n`).join('')}msgid ${quote(text)}\nmsgstr ""\n`);
	return `msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n\n${entries.join('\n')}`;
}

// A catalogue as a map from text to translation.
export function catalogue(path) {
	const out = new Map();
	for (const m of read(path).matchAll(/^msgid "((?:[^"\\]|\\.)*)"\nmsgstr "((?:[^"\\]|\\.)*)"$/gm))
		if (m[1])
			out.set(plain(m[1]), plain(m[2]));
	return out;
}

if (process.argv[1] == fileURLToPath(import.meta.url))
	writeFileSync(root + template, pot());
