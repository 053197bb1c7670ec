'use strict';
'require baseclass';
'require dom';
'require poll';
'require remsim.api as api';
'require remsim.contact as contact';
'require remsim.format as format';
'require remsim.model as model';
'require remsim.sse as sse';
'require remsim.widgets as widgets';

/* Keeps one page true. One status call serves the whole page: at once when
   uhttpd's stream announces a change, else once per tick. A pane is drawn anew
   only when what it shows has changed. One page lives at a time. */

const tick = 5;          /* seconds between looks without a stream */
const calm = 30;         /* and with one, in case it died unnoticed */
const patience = 3000;   /* ms until an answer counts as slow */
const again = 60000;     /* ms until a stream that ended is tried again */

/* dom.content, with the focus kept where a control of the same name remains. */
function redraw(node, children) {
	const focus = node.contains(document.activeElement) ? document.activeElement : null;
	const controls = () => [ ...node.querySelectorAll('button,select,input,a,summary') ];
	const index = focus ? controls().indexOf(focus) : -1;
	dom.content(node, children);
	if (index >= 0)
		controls()[index]?.focus({ preventScroll: true });
}

return baseclass.extend({
	/* panes: [{ id, select(status) -> data, draw(data, status) -> [children] }].
	   changed(status) is called after each change, for what the page itself has
	   to fetch. Returns the nodes of the page and takes over from there. */
	page(panes, changed) {
		this.stop();
		this.panes = panes.map(p => ({ ...p, node: E('div', { 'id': `remsim-${p.id}` }, []), last: null }));
		this.notice = E('div', { 'id': 'remsim-contact', 'aria-live': 'polite' }, []);
		this.changed = changed;
		this.state = null;
		this.sequence = 0;
		this.checked = 0;
		this.said = null;
		this.run = () => this.look(false);
		poll.add(this.run, tick);
		this.visible = () => document.hidden ? this.hush() : this.listen();
		document.addEventListener('visibilitychange', this.visible);
		this.narrow = window.matchMedia('(max-width: 700px)');
		this.turned = () => this.paint(true);
		this.narrow.addEventListener('change', this.turned);
		this.look(true).then(() => this.listen());
		return [ this.notice, ...this.panes.map(p => p.node) ];
	},

	stop() {
		if (!this.run)
			return;
		poll.remove(this.run);
		document.removeEventListener('visibilitychange', this.visible);
		this.narrow.removeEventListener('change', this.turned);
		this.hush();
		this.run = null;
	},

	/* Whether drawings should run from top to bottom. */
	small() { return this.narrow?.matches ?? false; },

	/* One look at the daemon. Looks do not overlap; a wish that comes meanwhile
	   leads to one more. */
	look(force) {
		if (this.looking) {
			this.more ||= force;
			return this.looking;
		}
		if (!force && this.streaming && Date.now() - this.checked < calm * 1000) {
			this.ages();
			return Promise.resolve();
		}
		const slow = setTimeout(() => this.say(contact.judge({ slow: true })), patience);
		this.looking = api.status(this.sequence).then(
			reply => this.take(reply),
			error => this.say(contact.judge({ error }))
		).finally(() => {
			clearTimeout(slow);
			this.looking = null;
			if (this.more) {
				this.more = false;
				return this.look(true);
			}
		});
		return this.looking;
	},

	take(reply) {
		this.checked = Date.now();
		if (!reply.unchanged) {
			this.state = model.whole(reply);
			this.sequence = this.state.sequence;
			this.skew = this.state.time - Date.now() / 1000;
			this.paint(false);
			this.changed?.(this.state);
		}
		this.say(contact.judge({ reply, missing: this.state.missing }));
		this.ages();
	},

	/* The router's clock now. */
	now() { return Math.round(Date.now() / 1000 + (this.skew ?? 0)); },

	/* Draws the panes whose data changed; all of them on demand. */
	paint(all) {
		if (!this.state)
			return;
		for (const pane of this.panes) {
			const data = pane.select(this.state);
			const text = JSON.stringify(data);
			if (!all && text === pane.last)
				continue;
			pane.last = text;
			redraw(pane.node, pane.draw(data, this.state));
		}
	},

	/* Draws one pane again because something else than the status changed. */
	refresh(id) {
		const pane = this.panes?.find(p => p.id == id);
		if (pane && this.state)
			redraw(pane.node, pane.draw(pane.select(this.state), this.state));
	},

	say(verdict) {
		const before = this.said;
		if (verdict.state === before)
			return;
		this.said = verdict.state;
		if (verdict.state == 'good' && before) { /* it is back: so may its stream be */
			clearTimeout(this.retry);
			this.listen();
		}
		dom.content(this.notice, verdict.state == 'good' ? [] : [ widgets.alert(verdict.tone, null, [ verdict.text ]) ]);
		if (verdict.state == 'absent' || verdict.state == 'lost')
			this.sequence = 0; /* another daemon may answer next: take all of it */
	},

	ages() {
		for (const node of document.querySelectorAll('[data-ago]')) {
			const text = format.ago(Number(node.dataset.ago), this.now());
			if (node.firstChild?.data !== text)
				dom.content(node, [ text ]);
		}
	},

	/* Listens to uhttpd's stream. Where there is none, or the role lacks
	   `:subscribe`, the tick alone remains. */
	listen() {
		if (this.stream || !this.run || document.hidden)
			return;
		this.stream = new AbortController();
		const { signal } = this.stream;
		fetch(`${L.env.ubuspath ?? '/ubus/'}subscribe/remsim`, { signal, headers: { 'Authorization': `Bearer ${L.env.sessionid}` } })
			.then(reply => this.read(reply))
			.catch(() => {}) /* ended, refused or cut: the tick goes on */
			.finally(() => {
				this.streaming = false;
				if (signal.aborted)
					return;
				this.stream = null;
				this.retry = setTimeout(() => this.listen(), again);
			});
	},

	read(reply) {
		if (!reply.ok || !reply.headers.get('Content-Type')?.startsWith('text/event-stream'))
			return reply.body?.cancel();
		this.streaming = true;
		const reader = reply.body.getReader(), decoder = new TextDecoder(), parse = sse.parser();
		const next = () => reader.read().then(({ done, value }) => {
			if (done)
				return;
			if (parse(decoder.decode(value, { stream: true })).some(event => event.name == 'change'))
				this.look(true);
			return next();
		});
		return next();
	},

	hush() {
		clearTimeout(this.retry);
		this.stream?.abort();
		this.stream = null;
		this.streaming = false;
	},
});
