// Loads modules of the app as LuCI's loader does: the file is the body of a
// function that gets what its 'require' lines name.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
export const resources = `${root}luci-app-remsim/htdocs/luci-static/resources/`;
export const own = `${resources}remsim/`;

export const read = path => readFileSync(root + path, 'utf8');
export const json = path => JSON.parse(read(path));
export const contract = name => json(`tests/contract/${name}.json`);

// The part of LuCI's format that the app uses.
function format(...args) {
	let i = 0;
	return this.replace(/%(%|s|d|\.(\d)f)/g, (_whole, kind, digits) => {
		if (kind == '%')
			return '%';
		const arg = args[i++];
		return kind == 'd' ? String(Math.trunc(Number(arg) || 0)) : kind == 's' ? String(arg) : Number(arg).toFixed(Number(digits));
	});
}
Object.defineProperty(String.prototype, 'format', { value: format, configurable: true });

const untranslated = text => text;

// Loads one module with its own requires. given: what stands for LuCI's modules
// and globals; anything else that is asked for is an error.
export function load(name, given = {}, loaded = new Map()) {
	if (loaded.has(name))
		return loaded.get(name);
	const source = readFileSync(`${resources}${name.replaceAll('.', '/')}.js`, 'utf8');
	const scope = { _: untranslated, baseclass: { extend: object => object }, ...given.globals };
	for (const [ , module, alias ] of source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm)) {
		if (module == 'baseclass')
			continue;
		if (!module.startsWith('remsim.') && !(module in (given.modules ?? {})))
			throw new Error(`${name} requires ${module}, which a pure module must not`);
		scope[alias ?? module] = module.startsWith('remsim.') ? load(module, given, loaded) : given.modules[module];
	}
	// L and document are undefined unless given: a pure module that touches them fails.
	const hidden = { L: undefined, E: undefined, document: undefined, window: undefined, ...scope };
	const result = new Function(...Object.keys(hidden), source)(...Object.values(hidden));
	loaded.set(name, result);
	return result;
}

export function files(folder) {
	return readdirSync(folder, { recursive: true }).filter(f => f.endsWith('.js')).map(f => `${folder}${f}`).sort();
}
