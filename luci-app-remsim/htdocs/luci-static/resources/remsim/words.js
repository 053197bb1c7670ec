'use strict';
'require baseclass';

/* The words of the contract as people read them, each with a tone: good, warn,
   bad or calm. Pure. A word that is not known (a newer daemon) is shown as it is. */

function table(rows) {
	const map = new Map(rows);
	return word => {
		const row = map.get(word);
		return row ? { label: row[0](), tone: row[1] } : { label: String(word ?? ''), tone: 'calm' };
	};
}

const signs = { good: '✔', warn: '!', bad: '✖', calm: '' };

return baseclass.extend({
	/* A sign beside each tone: colour alone tells nothing to many people. */
	sign(tone) { return signs[tone] ?? ''; },

	state: table([
		[ 'starting', [ () => _('Starting'), 'calm' ] ],
		[ 'waiting', [ () => _('Waiting for a card'), 'warn' ] ],
		[ 'operational', [ () => _('Everything works'), 'good' ] ],
		[ 'ride_through', [ () => _('Riding through an outage'), 'warn' ] ],
		[ 'degraded', [ () => _('Needs attention'), 'bad' ] ],
		[ 'stopped', [ () => _('Switched off'), 'calm' ] ],
	]),

	card: table([
		[ 'none', [ () => _('none'), 'calm' ] ],
		[ 'absent', [ () => _('no card'), 'bad' ] ],
		[ 'present', [ () => _('shown, not in use'), 'warn' ] ],
		[ 'powered', [ () => _('powered'), 'warn' ] ],
		[ 'reset', [ () => _('being reset'), 'warn' ] ],
		[ 'ready', [ () => _('in use'), 'good' ] ],
		[ 'lost', [ () => _('held, bank away'), 'warn' ] ],
	]),

	peer: table([
		[ 'idle', [ () => _('not connected'), 'calm' ] ],
		[ 'connecting', [ () => _('connecting'), 'warn' ] ],
		[ 'connected', [ () => _('connected'), 'good' ] ],
		[ 'refused', [ () => _('refused'), 'bad' ] ],
		[ 'backoff', [ () => _('lost, trying again'), 'bad' ] ],
	]),

	modem: table([
		[ 'absent', [ () => _('not there'), 'bad' ] ],
		[ 'failed', [ () => _('failed'), 'bad' ] ],
		[ 'unknown', [ () => _('unknown'), 'calm' ] ],
		[ 'initializing', [ () => _('starting'), 'warn' ] ],
		[ 'locked', [ () => _('asks for a PIN'), 'bad' ] ],
		[ 'disabled', [ () => _('switched off'), 'warn' ] ],
		[ 'disabling', [ () => _('switching off'), 'warn' ] ],
		[ 'enabling', [ () => _('switching on'), 'warn' ] ],
		[ 'enabled', [ () => _('on, no network'), 'warn' ] ],
		[ 'searching', [ () => _('searching a network'), 'warn' ] ],
		[ 'registered', [ () => _('registered'), 'good' ] ],
		[ 'disconnecting', [ () => _('disconnecting'), 'warn' ] ],
		[ 'connecting', [ () => _('connecting'), 'warn' ] ],
		[ 'connected', [ () => _('connected'), 'good' ] ],
	]),

	severity: table([
		[ 'info', [ () => _('Notice'), 'calm' ] ],
		[ 'warning', [ () => _('Warning'), 'warn' ] ],
		[ 'critical', [ () => _('Critical'), 'bad' ] ],
	]),

	ionmesh: table([
		[ 'off', [ () => _('not used'), 'calm' ] ],
		[ 'registering', [ () => _('registering'), 'warn' ] ],
		[ 'registered', [ () => _('registered'), 'good' ] ],
		[ 'silent', [ () => _('does not answer'), 'bad' ] ],
		[ 'refused', [ () => _('refuses'), 'bad' ] ],
	]),

	linkRole: table([
		[ 'data', [ () => _('user traffic'), 'good' ] ],
		[ 'control', [ () => _('control traffic'), 'good' ] ],
		[ 'both', [ () => _('user and control traffic'), 'good' ] ],
		[ 'none', [ () => _('standby'), 'calm' ] ],
	]),

	role: table([
		[ 'primary', [ () => _('user traffic'), 'calm' ] ],
		[ 'iot', [ () => _('control traffic'), 'calm' ] ],
	]),

	source: table([
		[ 'remote', [ () => _('remote card'), 'calm' ] ],
		[ 'local', [ () => _('local card'), 'calm' ] ],
	]),

	front: table([
		[ 'auto', [ () => _('found by itself'), 'calm' ] ],
		[ 'cardem', [ () => _('card emulator'), 'calm' ] ],
		[ 'uim-remote', [ () => _('UIM Remote'), 'calm' ] ],
		[ 'vpcd', [ () => _('PC/SC (vpcd)'), 'calm' ] ],
		[ 'none', [ () => _('none'), 'calm' ] ],
		[ '', [ () => _('none'), 'calm' ] ],
	]),

	purpose: table([
		[ 'server', [ () => _('RSPRO server'), 'calm' ] ],
		[ 'bank', [ () => _('SIM bank'), 'calm' ] ],
		[ 'orchestrator', [ () => _('orchestrator'), 'calm' ] ],
		[ 'dns', [ () => _('names (DNS)'), 'calm' ] ],
		[ 'probe', [ () => _('probes'), 'calm' ] ],
		[ 'other', [ () => _('other'), 'calm' ] ],
	]),

	/* Kinds of journal entries; see docs/UBUS.md. */
	kind: table([
		[ 'daemon', [ () => _('Daemon'), 'calm' ] ],
		[ 'config', [ () => _('Settings'), 'calm' ] ],
		[ 'state', [ () => _('State'), 'calm' ] ],
		[ 'server', [ () => _('Server'), 'calm' ] ],
		[ 'bank', [ () => _('Bank'), 'calm' ] ],
		[ 'assignment', [ () => _('Assignment'), 'calm' ] ],
		[ 'front', [ () => _('Front'), 'calm' ] ],
		[ 'card', [ () => _('Card'), 'calm' ] ],
		[ 'command', [ () => _('Command'), 'calm' ] ],
		[ 'finding', [ () => _('Finding'), 'calm' ] ],
		[ 'modem', [ () => _('Modem'), 'calm' ] ],
		[ 'card_switch', [ () => _('Card switch'), 'calm' ] ],
		[ 'reset', [ () => _('Reset'), 'calm' ] ],
		[ 'task', [ () => _('Part of the daemon'), 'calm' ] ],
		[ 'failover', [ () => _('Failover'), 'calm' ] ],
		[ 'link', [ () => _('Link'), 'calm' ] ],
		[ 'budget', [ () => _('Budget'), 'calm' ] ],
		[ 'ionmesh', [ () => _('Orchestrator'), 'calm' ] ],
	]),

	metric: table([
		[ 'rssi', [ () => _('Signal strength (RSSI)'), 'calm' ] ],
		[ 'rsrp', [ () => _('Reference signal power (RSRP)'), 'calm' ] ],
		[ 'rsrq', [ () => _('Reference signal quality (RSRQ)'), 'calm' ] ],
		[ 'sinr', [ () => _('Signal to noise (SINR)'), 'calm' ] ],
		[ 'quality', [ () => _('Signal quality'), 'calm' ] ],
		[ 'rtt', [ () => _('Round trip'), 'calm' ] ],
		[ 'loss', [ () => _('Loss'), 'calm' ] ],
		[ 'rx', [ () => _('Received'), 'calm' ] ],
		[ 'tx', [ () => _('Sent'), 'calm' ] ],
	]),
});
