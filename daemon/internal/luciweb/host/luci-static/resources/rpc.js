'use strict';
'require baseclass';
'require request';

/* Calls over /ubus as LuCI makes them: all of one animation frame in one request,
   but those that ask for `nobatch`. */

let id = 1;
let base = L.env.ubuspath ?? '/ubus/';
let sid = L.env.sessionid ?? '00000000000000000000000000000000';
const interceptors = [];
let queue = [];

const texts = [
	'Command OK', 'Invalid command', 'Invalid argument', 'Method not found', 'Resource not found', 'No data received',
	'Permission denied', 'Request timeout', 'Not supported', 'Unspecified error', 'Connection lost'
];

async function send(calls, single) {
	try {
		const res = await request.post(base, single ? calls[0].msg : calls.map((c) => c.msg), { timeout: (L.env.rpctimeout ?? 20) * 1000 });
		if (!res.ok)
			L.raise('RPCError', 'RPC call to %s/%s failed with HTTP error %d: %s', calls[0].object, calls[0].method, res.status, res.statusText || '?');
		const replies = single ? [ res.json() ] : res.json();
		calls.forEach((c, i) => settle(c, replies[i]).catch(c.reject));
	}
	catch (e) {
		calls.forEach((c) => c.reject(e));
	}
}

async function settle(call, msg) {
	for (const fn of interceptors)
		await fn(msg, call);
	if (!L.isObject(msg) || msg.jsonrpc != '2.0')
		L.raise('RPCError', 'RPC call to %s/%s returned invalid message frame', call.object, call.method);
	if (msg.error)
		L.raise('RPCError', 'RPC call to %s/%s failed with error %d: %s', call.object, call.method, msg.error.code, msg.error.message || '?');
	let value = msg.result;
	if (call.object && Array.isArray(value)) {
		if (call.raise && value[0] !== 0)
			L.raise('RPCError', 'RPC call to %s/%s failed with ubus code %d: %s', call.object, call.method, value[0], texts[value[0]] ?? '?');
		value = value.length > 1 ? value[1] : value[0];
	}
	const type = (v) => Object.prototype.toString.call(v);
	for (const key of Object.keys(call.expect ?? {}).slice(0, 1)) {
		if (value != null && key != '')
			value = value[key];
		if (value == null || type(value) != type(call.expect[key]))
			value = call.expect[key];
	}
	call.resolve(call.filter ? call.filter(value, call.params, ...call.rest) : value);
}

return baseclass.extend({
	declare(options) {
		return (...args) => new Promise((resolve, reject) => {
			const names = options.params ?? [];
			const params = {};
			names.forEach((name, i) => { if (args[i] !== undefined) params[name] = args[i]; });
			const rest = args.slice(names.length);
			const call = {
				object: options.object, method: options.method, expect: options.expect, filter: options.filter, raise: options.reject,
				params, rest, resolve, reject,
				msg: { jsonrpc: '2.0', id: id++, method: 'call', params: [ sid, options.object, options.method, params ] }
			};
			if (options.nobatch) {
				send([ call ], true);
				return;
			}
			queue.push(call);
			if (queue.length == 1)
				requestAnimationFrame(() => {
					const calls = queue;
					queue = [];
					send(calls, false);
				});
		});
	},
	list(...objects) {
		return new Promise((resolve, reject) => send([ {
			resolve, reject, expect: null, msg: { jsonrpc: '2.0', id: id++, method: 'list', params: objects.length ? objects : undefined }
		} ], true));
	},
	getSessionID: () => sid,
	setSessionID(v) { sid = v; },
	getBaseURL: () => base,
	setBaseURL(url) { base = url; },
	getStatusText: (code) => texts[code] ?? _('Unknown error code'),
	addInterceptor(fn) { interceptors.push(fn); return fn; },
	removeInterceptor(fn) {
		const i = interceptors.indexOf(fn);
		if (i >= 0)
			interceptors.splice(i, 1);
		return i >= 0;
	}
});
