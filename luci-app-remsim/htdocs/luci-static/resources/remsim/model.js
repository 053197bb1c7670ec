'use strict';
'require baseclass';
'require remsim.words as words';

/* What the pages make of a `status` reply. Pure. */

const list = v => Array.isArray(v) ? v : [];
const record = v => v && typeof v == 'object' && !Array.isArray(v) ? v : {};

/* Keys without which a reply is no status of ours: an older or newer daemon. */
const required = [ 'state', 'sequence', 'modems', 'health' ];

const order = { critical: 0, warning: 1, info: 2 };

return baseclass.extend({
	/* A whole status: what is missing gets its empty value, so that a daemon of
	   another version is drawn as far as it can be. `missing` names what a page
	   cannot do without. */
	whole(reply) {
		const r = record(reply);
		const health = record(r.health);
		return {
			version: String(r.version ?? ''),
			sequence: r.sequence ?? 0,
			time: r.time ?? 0,
			uptime_s: r.uptime_s ?? 0,
			device_id: String(r.device_id ?? ''),
			state: String(r.state ?? ''),
			reason: String(r.reason ?? ''),
			modems: list(r.modems).map(m => ({ ...m, signal: record(m.signal), card: record(m.card) })),
			links: list(r.links),
			failover: { ...record(r.failover), candidates: list(record(r.failover).candidates) },
			sessions: list(r.sessions).map(s => ({ ...s, server: record(s.server), bankd: record(s.bankd), tpdu: record(s.tpdu) })),
			ionmesh: { state: 'off', ...record(r.ionmesh) },
			budget: list(r.budget).map(b => ({ ...b, purposes: record(b.purposes) })),
			health: { score: health.score ?? null, findings: list(health.findings) },
			missing: required.filter(key => r[key] === undefined),
		};
	},

	session(status, modem) {
		return status.sessions.find(s => s.modem == modem) ?? null;
	},

	modem(status, name) {
		return status.modems.find(m => m.name == name) ?? null;
	},

	/* Modems that shall use a remote card. */
	remote(status) {
		return status.modems.filter(m => m.card.source == 'remote');
	},

	/* Worst first; stable for equal severities, as the daemon sorted them. */
	findings(status) {
		return [ ...status.health.findings ].sort((a, b) => (order[a.severity] ?? 9) - (order[b.severity] ?? 9));
	},

	/* The state in words. Cards that work are no "everything" while something
	   critical is wrong beside them. */
	verdict(status) {
		const critical = status.health.findings.filter(f => f.severity == 'critical').length;
		return status.state == 'operational' && critical
			? { label: _('The cards work, but something needs attention'), tone: 'warn' }
			: words.state(status.state);
	},

	/* Links in use first, then usable ones. */
	links(status) {
		const rank = l => l.role && l.role != 'none' ? 0 : l.usable ? 1 : l.up ? 2 : 3;
		return [ ...status.links ].sort((a, b) => rank(a) - rank(b));
	},

	/* 0..4 bars of the best measure there is, and the words for it. Bounds as
	   operators use them: RSRP in 3GPP TS 36.133 §9.1.4 terms. */
	bars(signal) {
		const grade = (v, bounds) => bounds.filter(b => v >= b).length;
		if (Number.isFinite(signal.rsrp_dbm))
			return grade(signal.rsrp_dbm, [ -120, -110, -100, -90 ]);
		if (Number.isFinite(signal.rssi_dbm))
			return grade(signal.rssi_dbm, [ -105, -95, -85, -75 ]);
		if (Number.isFinite(signal.quality))
			return grade(signal.quality, [ 5, 25, 50, 75 ]);
		return null;
	},

	/* Share of a budget that is used and that will be used, in per cent. */
	budget(b) {
		const share = n => b.limit_bytes > 0 ? Math.round(100 * n / b.limit_bytes) : 0;
		const used = share(b.month_bytes ?? 0), forecast = share(b.forecast_bytes ?? 0);
		const tone = used >= 100 ? 'bad' : used >= 80 || forecast > 100 ? 'warn' : 'good';
		const purposes = Object.entries(b.purposes).map(([ name, bytes ]) => ({ name, bytes })).sort((x, y) => y.bytes - x.bytes);
		return { used, forecast, tone, purposes };
	},

	/* The chain that a remote card hangs on, from the modem to the card. Each
	   part is good, warn, bad or calm; the first bad one is where it breaks. */
	chain(status, modem) {
		const s = this.session(status, modem.name);
		const card = modem.card;
		const held = card.state == 'lost';
		const shown = [ 'present', 'powered', 'reset', 'ready', 'lost' ].includes(card.state);
		const finding = (...codes) => status.health.findings.some(f => f.subject == modem.name && codes.includes(f.code));
		const peer = p => p.state == 'connected' ? 'good' : p.state == 'connecting' ? 'warn' : p.state == 'idle' || !p.state ? 'calm' : 'bad';
		const parts = [];
		if (modem.present || modem.state != 'absent' || modem.model)
			parts.push({ id: 'modem', tone: modem.present ? 'good' : 'bad' });
		parts.push({ id: 'front', tone: finding('front-none', 'front-down') || !card.front ? 'bad' : 'good' });
		if (s?.server.address)
			parts.push({ id: 'server', tone: s.bank && peer(s.server) == 'bad' ? 'warn' : peer(s.server) });
		parts.push({ id: 'bank', tone: s?.bank ? peer(s.bankd) : 'calm' });
		parts.push({ id: 'card', tone: held ? 'warn' : shown ? card.state == 'ready' ? 'good' : 'warn' : s?.bankd.state == 'connected' ? 'bad' : 'calm' });
		return { parts, session: s, breaks: parts.find(p => p.tone == 'bad')?.id ?? null };
	},

	/* Ways to reset a modem, lightest first, with what each one costs. */
	resets() {
		return [
			[ 'auto', _('The lightest way there is') ],
			[ 'soft', _('Restart the modem\'s firmware (AT command)') ],
			[ 'modemmanager', _('Restart it through ModemManager') ],
			[ 'gpio', _('Pulse its reset line') ],
			[ 'power', _('Switch its power off and on') ],
		];
	},
});
