'use strict';
'require baseclass';

/* Tables as files. Pure. */

/* A spreadsheet runs what begins like a formula: such text gets a quote before
   it. Numbers stay numbers. */
function cell(value) {
	if (typeof value == 'number')
		return String(value);
	let text = String(value ?? '');
	if (/^[=+\-@\t\r]/.test(text))
		text = `'${text}`;
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

return baseclass.extend({
	/* RFC 4180. rows are arrays of values. */
	csv(titles, rows) {
		return [ titles, ...rows ].map(row => row.map(cell).join(',')).join('\r\n') + '\r\n';
	},

	json(value) {
		return JSON.stringify(value, null, '\t') + '\n';
	},

	/* A file name that says what and when. */
	name(what, unix, extension) {
		const stamp = new Date(unix * 1000).toISOString().slice(0, 19).replaceAll(':', '');
		return `remsim-${what.replace(/[^A-Za-z0-9_-]+/g, '-')}-${stamp}.${extension}`;
	},
});
