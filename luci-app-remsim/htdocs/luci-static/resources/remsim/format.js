'use strict';
'require baseclass';

/* Numbers as people read them. Pure. */

const units = [ 'B', 'kB', 'MB', 'GB', 'TB' ];

return baseclass.extend({
	/* Decimal, as mobile tariffs count. */
	bytes(n) {
		if (!Number.isFinite(n))
			return '–';
		let unit = 0;
		while (Math.abs(n) >= 1000 && unit < units.length - 1) {
			n /= 1000;
			unit++;
		}
		const digits = unit == 0 || Math.abs(n) >= 100 ? 0 : 1;
		return `${n.toFixed(digits)} ${units[unit]}`;
	},

	/* Seconds in the two largest units that matter. */
	duration(s) {
		s = Math.max(0, Math.round(s));
		if (s < 60)
			return _('%d s').format(s);
		if (s < 3600)
			return s % 60 && s < 600 ? _('%d min %d s').format(s / 60, s % 60) : _('%d min').format(s / 60);
		if (s < 86400)
			return _('%d h %d min').format(s / 3600, s % 3600 / 60);
		return _('%d d %d h').format(s / 86400, s % 86400 / 3600);
	},

	/* How long ago; clocks of browser and router may differ, so `now` is the router's. */
	ago(then, now) {
		if (!then)
			return _('unknown');
		return now - then < 2 ? _('just now') : _('%s ago').format(this.duration(now - then));
	},

	/* A point in time in the browser's zone and language. */
	time(unix) {
		return unix ? new Date(unix * 1000).toLocaleString() : _('never');
	},

	clock(unix) {
		return new Date(unix * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
	},

	number(n, unit, digits) {
		return Number.isFinite(n) ? `${n.toFixed(digits ?? 0)} ${unit}`.trim() : '–';
	},

	/* At most `room` characters; the whole text belongs in a title. */
	cut(text, room) {
		const letters = [ ...String(text ?? '') ];
		return letters.length <= room ? letters.join('') : letters.slice(0, Math.max(1, room - 1)).join('') + '…';
	},
});
