'use strict';
'require baseclass';
'require rpc';

/* Every call to the daemon. Nothing else in this app declares one for the
   object `remsim`; tests/luci holds this list against the ACL and the daemon. */

/* A refusal carries the daemon's own words beside the ubus status; LuCI's
   `reject` alone would show the number only. */
rpc.addInterceptor((msg, req) => {
	const [ status, reply ] = Array.isArray(msg?.result) ? msg.result : [];
	if (req?.object == 'remsim' && status && reply?.message)
		throw new Error(reply.message);
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
