'use strict';
'require baseclass';
'require rpc';

/* Every call to the daemon. Nothing else in this app declares one for the
   object `remsim`; tests/luci holds this list against the ACL and the daemon. */

/* Why a call failed, in words for people. The daemon's own come first; LuCI's
   `reject` alone would tell a number and a place in its own source. */
function reason(method, code, said) {
	switch (code) {
	case 2: return said || _('The daemon does not accept this.');
	case 3: return said || _('This daemon has no "%s": it is of another version than these pages.').format(method);
	case 4: return said || _('It is not there.');
	case 6: case -32002: return said || _('This login may not do that.');
	case 7: case -32003: return said || _('The daemon did not answer in time.');
	case 8: return said || _('That cannot be done on this router.');
	case -32000: return said || _('remsim is not running on this router.');
	default: return said || _('It failed (%d).').format(code);
	}
}

rpc.addInterceptor((msg, req) => {
	if (req?.object != 'remsim')
		return;
	const [ status, reply ] = Array.isArray(msg?.result) ? msg.result : [];
	const code = msg?.error?.code ?? status ?? 0;
	if (code)
		return Promise.reject(Object.assign(new Error(reason(req.method, code, reply?.message)), { code }));
});

function declare(method, params, expect, more) {
	return rpc.declare({ object: 'remsim', method, params, expect: expect ?? { '': {} }, reject: true, ...more });
}

/* Methods that wait for a modem, a bank or a bus stand outside LuCI's batches,
   which uhttpd works off one after the other. */
const slow = { nobatch: true };

const access = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });

return baseclass.extend({
	status: declare('status', [ 'since' ], null, slow),
	events: declare('events', [ 'since', 'limit', 'kind' ], { events: [] }),
	history: declare('history', [ 'metric', 'subject', 'range' ]),
	diagnose: declare('diagnose', [ 'modem' ]),
	discover: declare('discover', [], null, slow),
	config: declare('config', []),
	test: declare('test', [ 'target', 'name' ], null, slow),
	trace: declare('trace', [ 'modem', 'since', 'limit' ], { apdus: [] }),
	tracing: declare('tracing', [ 'modem', 'on' ]),
	switch: declare('switch', [ 'role', 'link' ], null, slow),
	sim: declare('sim', [ 'modem', 'source' ], null, slow),
	map: declare('map', [ 'modem', 'host', 'port', 'bank_id', 'slot' ], null, slow),
	unmap: declare('unmap', [ 'modem' ], null, slow),
	reset: declare('reset', [ 'modem', 'method' ], null, slow),
	gpio: declare('gpio', [ 'modem', 'line', 'dry_run' ]),
	credential: declare('credential', [ 'kind', 'name', 'pem' ], { credentials: [] }),
	support: declare('support', [ 'part' ], null, slow),
	reload: declare('reload', [], null, slow),
	identities: declare('identities', [], { modems: [] }),

	/* What this login may do, asked once per page: the menu only tells whether
	   a page may be seen. */
	rights() {
		return Promise.all([
			access('ubus', 'remsim', 'switch'),
			access('ubus', 'remsim', 'identities'),
			access('uci', 'remsim', 'write'),
		].map(p => L.resolveDefault(p, false))).then(([ operate, identities, configure ]) => ({ operate, identities, configure }));
	},
});
