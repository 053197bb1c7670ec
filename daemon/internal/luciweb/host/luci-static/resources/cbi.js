'use strict';

/* The globals that LuCI's pages have before luci.js: translations and
   String.format. Texts come from window.TRtext, which the demo serves. */

function trimws(s) {
	return String(s).trim().replace(/[ \t\n]+/g, ' ');
}

function _(s, context) {
	const key = (context != null ? `${trimws(context)}\u0001` : '') + trimws(s);
	return window.TRtext?.[key] || s;
}

/* Plural forms by the rule of the translation. */
function N_(n, s, p, context) {
	const rule = new Function('n', `${window.TR?.['00000000'] || 'plural=(n != 1);'} return +plural;`.replace('plural=', 'let plural='));
	const i = rule(n);
	const key = (context != null ? `${trimws(context)}\u0001` : '') + `${trimws(s)}\u0002${i}`;
	return window.TRtext?.[key] || (i ? p : s);
}

(function() {
	const entities = { '&': '&#38;', '<': '&#60;', '>': '&#62;', '"': '&#34;', "'": '&#39;' };
	const escape = (s) => String(s).replace(/[&<>"']/g, (c) => entities[c]);

	function metric(value, precision, base) {
		const units = [ '', 'k', 'M', 'G', 'T', 'P' ];
		let i = 0;
		while (Math.abs(value) >= base && i < units.length - 1) {
			value /= base;
			i++;
		}
		const unit = (i > 0 && base == 1024) ? `${units[i].toUpperCase()}i` : units[i];
		return `${i == 0 ? String(+value.toFixed(precision)) : value.toFixed(precision)} ${unit}`;
	}

	function duration(seconds) {
		let s = Math.floor(seconds);
		const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
		s %= 60;
		const two = (n) => String(n).padStart(2, '0');
		return (d ? `${d}d ` : '') + (d || h ? `${h}h ` : '') + (d || h || m ? `${d || h ? two(m) : m}m ` : '') + `${d || h || m ? two(s) : s}s`;
	}

	const convert = {
		b: (v) => (+v || 0).toString(2),
		c: (v) => String.fromCharCode(+v || 0),
		d: (v) => String(Math.trunc(+v || 0)),
		u: (v) => String(Math.floor(Math.abs(+v || 0))),
		f: (v, precision) => (+v || 0).toFixed(precision ?? 6),
		o: (v) => (+v || 0).toString(8),
		x: (v) => (+v || 0).toString(16),
		X: (v) => (+v || 0).toString(16).toUpperCase(),
		s: (v, precision) => precision != null ? String(v).substring(0, precision) : String(v),
		j: (v) => JSON.stringify(v) ?? '',
		q: (v) => escape(v),
		h: (v) => escape(v),
		t: (v) => duration(+v || 0),
		m: (v, precision, width) => metric(+v || 0, precision ?? 2, +width || 1000)
	};

	String.prototype.format = function(...args) {
		let next = 0;
		return this.replace(/%([-+ 0'#]*)(\d+)?(?:\.(\d+))?([%bcdufosxXjqhtm])/g, (all, flags, width, precision, type) => {
			if (type == '%')
				return '%';
			const value = next < args.length ? args[next++] : '';
			let text = convert[type](value, precision != null ? +precision : null, width);
			if (flags.includes('+') && 'df'.includes(type) && +value >= 0)
				text = `+${text}`;
			if (width != null && type != 'm') {
				const pad = flags.includes('0') ? '0' : ' ';
				text = flags.includes('-') ? text.padEnd(+width) : text.padStart(+width, pad);
			}
			return text;
		});
	};
	String.prototype.nobr = function() { return this.replace(/[\s\n]+/g, '\u00a0'); };
	String.format = (fmt, ...args) => String.prototype.format.apply(fmt, args);
})();

function cbi_init() {}

/* Fill a table with rows of texts or nodes; without rows it shows a placeholder. */
function cbi_update_table(table, data, placeholder) {
	const target = typeof(table) == 'string' ? document.querySelector(table) : table;
	if (!target)
		return;
	const head = target.querySelector('tr.cbi-section-table-titles, tr.table-titles, tr.th, tr');
	const titles = [...(head?.querySelectorAll('th, .th') ?? [])].map((th) => th.textContent.trim());
	target.querySelectorAll('tr').forEach((tr) => { if (tr !== head) tr.remove(); });
	(data ?? []).forEach((row, i) => {
		const cells = row.map((cell, n) => E('td', { 'class': 'td', 'data-title': titles[n] ?? null }, Array.isArray(cell) ? cell : [ cell ]));
		target.appendChild(E('tr', { 'class': `tr cbi-rowstyle-${i % 2 + 1}` }, cells));
	});
	if (!data?.length && placeholder)
		target.appendChild(E('tr', { 'class': 'tr placeholder' }, [
			E('td', { 'class': 'td', 'colspan': titles.length || 1 }, [ placeholder ])
		]));
}
