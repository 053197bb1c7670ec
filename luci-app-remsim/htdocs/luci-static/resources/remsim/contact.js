'use strict';
'require baseclass';

/* What a page knows of the daemon behind it: pure rules from the outcome of a
   call to what is said to the user. It recovers with the first good reply. */

return baseclass.extend({
	/* outcome: { reply } or { error } or { slow: seconds }. */
	judge(outcome) {
		if (outcome.slow)
			return { state: 'slow', tone: 'warn', text: _('The daemon takes long to answer. What you see may be old.') };
		if (outcome.error)
			return this.failure(outcome.error?.code, String(outcome.error?.message ?? outcome.error));
		if (outcome.missing?.length)
			return { state: 'odd', tone: 'warn', text: _('The daemon is of another version than these pages. Install both from the same release; until then some things are missing here.') };
		return { state: 'good', tone: 'good', text: '' };
	},

	/* code: an ubus status, or that of JSON-RPC; none when nothing answered. */
	failure(code, text) {
		if (code == -32000 || code == 4)
			return { state: 'absent', tone: 'bad', text: _('remsim is not running on this router. Start it under System > Startup; this page goes on by itself.') };
		if (code == -32002 || code == 6)
			return { state: 'denied', tone: 'bad', text: _('The session has ended, or this login may not read Remote SIM. Log in again.') };
		if (code == -32003 || code == 7 || /timed? ?out/i.test(text))
			return { state: 'slow', tone: 'warn', text: _('The daemon takes long to answer. What you see may be old.') };
		if (code)
			return { state: 'odd', tone: 'bad', text };
		return { state: 'lost', tone: 'bad', text: _('The router does not answer. This page goes on by itself once it does.') };
	},
});
