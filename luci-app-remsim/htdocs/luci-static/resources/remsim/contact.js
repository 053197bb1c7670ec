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
			return this.failure(String(outcome.error?.message ?? outcome.error));
		if (outcome.missing?.length)
			return { state: 'odd', tone: 'warn', text: _('The daemon is of another version than these pages. Install both from the same release; until then some things are missing here.') };
		return { state: 'good', tone: 'good', text: '' };
	},

	/* LuCI's errors carry the JSON-RPC code as a number in their text. */
	failure(text) {
		if (/-32000|ubus code 4\b/.test(text))
			return { state: 'absent', tone: 'bad', text: _('remsim is not running on this router. Start it under System > Startup; this page goes on by itself.') };
		if (/-32002|ubus code 6\b/.test(text))
			return { state: 'denied', tone: 'bad', text: _('The session has ended, or this login may not read Remote SIM. Log in again.') };
		if (/-32003|ubus code 7\b|timed? ?out/i.test(text))
			return { state: 'slow', tone: 'warn', text: _('The daemon takes long to answer. What you see may be old.') };
		return { state: 'lost', tone: 'bad', text: _('The router does not answer. This page goes on by itself once it does.') };
	},
});
