'use strict';
'require baseclass';

/* LuCI's datatypes: `and(...)`, `or(...)`, `list(...)` and the ones below, each
   with the words that say what is expected. */

const ipv4 = (v) => /^\d{1,3}(\.\d{1,3}){3}$/.test(v) && v.split('.').every((n) => +n <= 255);
const ipv6 = (v) => {
	if (!/^[0-9a-fA-F:.]+$/.test(v) || !v.includes(':'))
		return false;
	try {
		return !!new URL(`http://[${v}]/`);
	}
	catch {
		return false;
	}
};
const hostname = (v) => v.length <= 253 && /^(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?)*\.?$/.test(v) && !/^[0-9.]+$/.test(v);
const integer = (v) => /^-?\d+$/.test(v);
const number = (v) => /^-?\d+(\.\d+)?$/.test(v);

const types = {
	integer: [ integer, () => _('valid integer value') ],
	uinteger: [ (v) => /^\d+$/.test(v), () => _('positive integer value') ],
	float: [ number, () => _('valid decimal value') ],
	ufloat: [ (v) => number(v) && +v >= 0, () => _('positive decimal value') ],
	ip4addr: [ ipv4, () => _('valid IPv4 address') ],
	ip6addr: [ ipv6, () => _('valid IPv6 address') ],
	ipaddr: [ (v) => ipv4(v) || ipv6(v), () => _('valid IP address') ],
	hostname: [ hostname, () => _('valid hostname') ],
	host: [ (v) => ipv4(v) || ipv6(v) || hostname(v), () => _('valid hostname or IP address') ],
	port: [ (v) => /^\d+$/.test(v) && +v >= 0 && +v <= 65535, () => _('valid port value') ],
	hostport: [ (v) => { const m = /^(.+):(\d+)$/.exec(v); return !!m && (ipv4(m[1]) || hostname(m[1]) || (/^\[.*\]$/.test(m[1]) && ipv6(m[1].slice(1, -1)))) && +m[2] > 0 && +m[2] <= 65535; }, () => _('valid host:port') ],
	uciname: [ (v) => /^[a-zA-Z0-9_]+$/.test(v), () => _('valid UCI identifier') ],
	file: [ (v) => /^\//.test(v), () => _('valid file path') ],
	hexstring: [ (v) => /^([0-9a-fA-F]{2})+$/.test(v), () => _('hexadecimal encoded value') ],
	string: [ () => true, () => '' ],
	bool: [ (v) => [ '0', '1', 'yes', 'no', 'on', 'off', 'true', 'false', 'enabled', 'disabled' ].includes(v.toLowerCase()), () => _('valid boolean') ],
	range: [ (v, lo, hi) => number(v) && +v >= +lo && +v <= +hi, (lo, hi) => _('value between %s and %s').format(lo, hi) ],
	min: [ (v, lo) => number(v) && +v >= +lo, (lo) => _('value greater or equal to %s').format(lo) ],
	max: [ (v, hi) => number(v) && +v <= +hi, (hi) => _('value smaller or equal to %s').format(hi) ],
	length: [ (v, n) => v.length == +n, (n) => _('value with %s characters').format(n) ],
	rangelength: [ (v, lo, hi) => v.length >= +lo && v.length <= +hi, (lo, hi) => _('value between %s and %s characters').format(lo, hi) ],
	minlength: [ (v, n) => v.length >= +n, (n) => _('value with at least %s characters').format(n) ],
	maxlength: [ (v, n) => v.length <= +n, (n) => _('value with at most %s characters').format(n) ]
};

/* Split the arguments of a datatype at the commas outside of parentheses. */
function split(text) {
	const out = [];
	let depth = 0, from = 0;
	for (let i = 0; i <= text.length; i++) {
		const c = text[i];
		depth += c == '(' ? 1 : c == ')' ? -1 : 0;
		if (i == text.length || (c == ',' && depth == 0)) {
			out.push(text.substring(from, i).trim());
			from = i + 1;
		}
	}
	return out;
}

/* true, or what is expected in words. */
function test(value, type) {
	const [ , name, , inner ] = /^([a-z0-9]+)(\((.*)\))?$/.exec(type.trim()) ?? [];
	const args = inner != null ? split(inner) : [];
	switch (name) {
	case 'or': {
		const bad = args.map((t) => test(value, t)).filter((r) => r !== true);
		return bad.length < args.length ? true : _('one of: %s').format(bad.join(', '));
	}
	case 'and':
		return args.map((t) => test(value, t)).find((r) => r !== true) ?? true;
	case 'list':
		return value.trim().split(/\s+/).map((v) => test(v, inner)).find((r) => r !== true) ?? true;
	case 'neg':
		return test(value.replace(/^!\s*/, ''), inner);
	}
	const known = types[name];
	if (!known)
		return value === type ? true : _('"%s"').format(type);
	return known[0](value, ...args) ? true : known[1](...args);
}

return baseclass.extend({
	/* check a value of a form: true or the complaint. */
	check(value, datatype, optional, validate) {
		for (const v of Array.isArray(value) ? value : [ value ?? '' ]) {
			if (v === '')
				continue;
			const result = datatype ? test(String(v), datatype) : true;
			if (result !== true)
				return _('Expecting: %s').format(result);
		}
		if ((value == null || value === '' || value.length === 0) && !optional)
			return _('Expecting: %s').format(_('non-empty value'));
		for (const fn of [ validate ].flat().filter((f) => typeof(f) == 'function')) {
			const result = fn(value);
			if (result !== true)
				return result || _('Invalid value');
		}
		return true;
	}
});
