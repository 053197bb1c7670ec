// The pure modules, on the replies that the daemon's own tests wrote.
import test from 'node:test';
import assert from 'node:assert/strict';
import { contract, load } from './load.mjs';

const model = load('remsim.model'), picture = load('remsim.picture'), words = load('remsim.words');
const contact = load('remsim.contact'), sse = load('remsim.sse'), chart = load('remsim.chart'), table = load('remsim.table');
const timeline = load('remsim.timeline'), setup = load('remsim.setup'), format = load('remsim.format');

const good = model.whole(contract('status')), bad = model.whole(contract('status-troubled')), off = model.whole(contract('status-stopped'));

test('a whole status misses nothing, half of one is filled up and says so', () => {
	assert.deepEqual(good.missing, []);
	assert.deepEqual(off.missing, []);
	const half = model.whole({ state: 'operational', sequence: 5 });
	assert.deepEqual(half.missing, [ 'modems', 'health' ]);
	assert.deepEqual([ half.modems, half.links, half.health.findings, half.failover.candidates ], [ [], [], [], [] ]);
	assert.deepEqual(model.whole(null).missing.length, 4);
	assert.deepEqual(model.whole({ modems: 'none', links: 7, health: [] }).modems, []);
});

test('every word of the contract has a label and a tone', () => {
	for (const [ kind, list ] of Object.entries({
		state: [ 'starting', 'waiting', 'operational', 'ride_through', 'degraded', 'stopped' ],
		card: [ 'none', 'absent', 'present', 'powered', 'reset', 'ready', 'lost' ],
		peer: [ 'idle', 'connecting', 'connected', 'refused', 'backoff' ],
		ionmesh: [ 'off', 'registering', 'registered', 'silent', 'refused' ],
		linkRole: [ 'data', 'control', 'both', 'none' ],
		severity: [ 'info', 'warning', 'critical' ],
		modem: [ 'failed', 'unknown', 'locked', 'disabled', 'enabling', 'enabled', 'searching', 'registered', 'connecting', 'connected', 'absent' ],
	}))
		for (const word of list) {
			const { label, tone } = words[kind](word);
			assert.ok(label && !label.includes('_'), `${kind} ${word}`);
			assert.match(tone, /^(good|warn|bad|calm)$/);
		}
	assert.notEqual(words.state('stopped').label, 'stopped');
	assert.deepEqual(words.state('hovering'), { label: 'hovering', tone: 'calm' }, 'a newer daemon');
});

test('the chain of a working card is good from end to end', () => {
	const { parts, breaks } = model.chain(good, good.modems[0]);
	assert.deepEqual(parts.map(p => `${p.id} ${p.tone}`), [ 'modem good', 'front good', 'server good', 'bank good', 'card good' ]);
	assert.equal(breaks, null);
});

test('the chain breaks where the bank is away, and the card is held', () => {
	const { parts, breaks } = model.chain(bad, bad.modems[0]);
	assert.equal(breaks, 'bank');
	assert.equal(parts.find(p => p.id == 'card').tone, 'warn');
});

test('cards that work are not everything while something critical is wrong', () => {
	assert.equal(model.verdict(good).tone, 'good');
	const beside = model.verdict({ ...bad, state: 'operational' });
	assert.deepEqual([ beside.tone, beside.label ], [ 'warn', 'The cards work, but something needs attention' ]);
	assert.equal(model.verdict(bad).tone, 'bad');
	assert.equal(model.verdict(off).tone, 'calm');
});

test('findings come worst first and keep their order otherwise', () => {
	assert.deepEqual(model.findings(bad).map(f => f.severity), [ 'critical', 'warning' ]);
});

test('the drawing of the paths connects what carries what', () => {
	const p = picture.paths(good, false);
	assert.deepEqual(p.boxes.map(b => b.id), [ 'router', 'primary', 'iot', 'wan', 'data', 'control' ]);
	assert.equal(p.lines.filter(l => l.used).length, 4);
	assert.equal(p.lines.find(l => l.tone == 'bad').used, false);
	const both = picture.paths(bad, false);
	assert.equal(both.lines.filter(l => l.used).length, 3, 'one link carries both');
	assert.equal(picture.paths(off, false), null);
});

test('no two boxes of a drawing overlap and all are inside it, wide and narrow', () => {
	for (const status of [ good, bad ])
		for (const down of [ false, true ])
			for (const p of [ picture.paths(status, down), picture.card(status, status.modems[0], down) ]) {
				for (const [ i, a ] of p.boxes.entries()) {
					assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= p.width && a.y + a.h <= p.height, a.title);
					for (const b of p.boxes.slice(i + 1))
						assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y, `${a.title} over ${b.title}`);
				}
				if (down)
					assert.ok(p.width <= 345, `${p.width} does not fit a phone`);
				assert.ok(p.text.length > 20, 'a drawing in words');
			}
});

test('signal bars follow the best measure there is', () => {
	assert.equal(model.bars({ rsrp_dbm: -92, rssi_dbm: -50 }), 3);
	assert.equal(model.bars({ rssi_dbm: -110 }), 0);
	assert.equal(model.bars({ quality: 80 }), 4);
	assert.equal(model.bars({}), null);
});

test('a budget tells what is used and what will be', () => {
	const share = model.budget(good.budget[0]);
	assert.deepEqual([ share.used, share.forecast, share.tone ], [ 62, 113, 'warn' ]);
	assert.deepEqual(share.purposes.map(p => p.name), [ 'server', 'bank', 'orchestrator', 'probe', 'other' ]);
	assert.equal(model.budget(bad.budget[0]).tone, 'bad');
	assert.equal(model.budget({ limit_bytes: 0, purposes: {} }).used, 0);
});

test('each way to lose the daemon is said, and a good reply ends it', () => {
	const says = outcome => contact.judge(outcome).state;
	assert.equal(says({ error: Object.assign(new Error('x'), { code: -32000 }) }), 'absent');
	assert.equal(says({ error: Object.assign(new Error('x'), { code: 4 }) }), 'absent');
	assert.equal(says({ error: Object.assign(new Error('x'), { code: -32002 }) }), 'denied');
	assert.equal(says({ error: Object.assign(new Error('x'), { code: -32003 }) }), 'slow');
	assert.equal(says({ error: new Error('XHR request timed out') }), 'slow');
	assert.equal(says({ error: new Error('Failed to fetch') }), 'lost');
	assert.equal(says({ error: Object.assign(new Error('no method'), { code: 3 }) }), 'odd');
	assert.equal(says({ slow: true }), 'slow');
	assert.equal(says({ reply: {}, missing: [ 'health' ] }), 'odd');
	assert.equal(says({ reply: {}, missing: [] }), 'good');
});

test('a stream is understood however it is cut into pieces', () => {
	const text = 'retry: 3\n\nevent: change\ndata: {"sequence":1}\n\nevent: other\r\ndata: {}\r\n\r\n';
	for (let cut = 0; cut <= text.length; cut++) {
		const parse = sse.parser();
		const events = [ ...parse(text.slice(0, cut)), ...parse(text.slice(cut)) ];
		assert.deepEqual(events.filter(e => e.name == 'change'), [ { name: 'change', data: '{"sequence":1}' } ], `cut at ${cut}`);
	}
	const parse = sse.parser();
	parse('x'.repeat(100000));
	assert.deepEqual(parse('\n\nevent: change\ndata: 1\n\n').map(e => e.name), [ 'change' ], 'rubbish is forgotten');
});

test('a chart covers its points with round numbers and leaves gaps open', () => {
	const points = [ [ 1000, -90, -85, -80 ], [ 1010, -91, -86, -81 ], [ 1100, -70, -70, -70 ], [ NaN, 1, 1, 1 ], [ 50, 0, 0, 0 ] ];
	const c = chart.lay({ points, from: 900, to: 1200, step: 10, width: 760, height: 170 });
	assert.equal(c.lines.length, 2, 'a gap splits the line');
	assert.ok(c.rows[0].value <= -91 && c.rows.at(-1).value >= -70);
	assert.ok(c.rows.length >= 3 && c.rows.length <= 8, `${c.rows.length} rows`);
	assert.deepEqual([ c.least, c.most ], [ -91, -70 ]);
	for (const d of [ ...c.lines, ...c.bands ])
		assert.doesNotMatch(d, /NaN|Infinity/);
	assert.equal(chart.lay({ points: [], from: 0, to: 1, step: 1, width: 100, height: 100 }), null);
	assert.ok(chart.lay({ points: [ [ 5, 3, 3, 3 ] ], from: 0, to: 10, step: 1, width: 100, height: 100 }), 'one point is a chart');
	for (const span of Object.values(chart.spans))
		for (const wanted of [ 4, 8 ]) {
			const times = chart.times(1800000123, 1800000123 + span, wanted, 3600);
			assert.ok(times.length >= 2 && times.length <= wanted + 1, `${span}: ${times.length}`);
		}
});

test('the timeline draws a failover from where it began', () => {
	const { events } = contract('events');
	const to = 1800000000;
	const lanes = timeline.lanes(events, to - 21600, to, good);
	assert.deepEqual(lanes.map(l => l.name), [ 'state', 'data', 'control' ]);
	assert.deepEqual(lanes[0].spans.map(s => s.value), [ 'operational', 'ride_through', 'operational' ]);
	assert.deepEqual(lanes[2].spans.map(s => [ s.value, s.to - s.from ]), [ [ 'primary', 7200 - 3592 ], [ 'iot', 3592 ] ]);
	assert.deepEqual(lanes[1].spans.map(s => s.value), [ 'primary' ], 'no move: what is so now');
	for (const lane of lanes)
		for (const [ i, span ] of lane.spans.entries()) {
			assert.ok(span.to > span.from);
			assert.ok(!i || lane.spans[i - 1].to <= span.from);
		}
	const [ move ] = timeline.moves(events);
	assert.deepEqual([ move.from, move.to, move.ms, move.stamps.length ], [ 'primary', 'iot', 1900, 4 ]);
});

test('a table as CSV is no program of a spreadsheet', () => {
	assert.equal(table.csv([ 'a', 'b' ], [ [ '=1+1', -5 ], [ 'say "x", y', null ] ]), 'a,b\r\n\'=1+1,-5\r\n"say ""x"", y",\r\n');
	assert.equal(table.name('history link/../x', 0, 'csv'), 'remsim-history-link-x-1970-01-01T000000.csv');
});

test('numbers read as people write them', () => {
	assert.equal(format.bytes(999), '999 B');
	assert.equal(format.bytes(6200000), '6.2 MB');
	assert.equal(format.bytes(undefined), '–');
	assert.equal(format.duration(59.4), '59 s');
	assert.equal(format.duration(61), '1 min 1 s');
	assert.equal(format.duration(90000), '1 d 1 h');
	assert.equal(format.ago(100, 99), 'just now');
	assert.equal(format.cut('𝔸𝔹ℂ𝔻', 3), '𝔸𝔹…');
});

test('what the settings say of probing is what the daemon computes', () => {
	for (const d of contract('detect')) {
		const shown = setup.detects[d.detect], i = d.metered ? 1 : 0;
		assert.ok(Math.abs(shown.seconds[i] - d.seconds) < .05, `${d.detect} metered ${d.metered}: ${d.seconds} s, shown ${shown.seconds[i]}`);
		assert.ok(Math.abs(shown.mb[i] - d.mb_month) <= .05, `${d.detect} metered ${d.metered}: ${d.mb_month} MB, shown ${shown.mb[i]}`);
	}
});

test('shapes take what the documentation names and refuse the rest', () => {
	const ok = (shape, value) => setup.shape(shape)('s', value) === true;
	for (const [ shape, taken, refused ] of [
		[ 'match', [ 'usb:2-1.4', 'imei:123456789012345', 'serial:AB 1', 'dev:/dev/ttyUSB2' ], [ '2-1', 'imei:12', 'dev:ttyUSB2', 'usb:2-1; reboot' ] ],
		[ 'device', [ 'usb:1-1:0', 'serial:X:1', 'qmi:/dev/cdc-wdm0', '127.0.0.1:35963', '[::1]:35963' ], [ 'cdc-wdm0', 'host', 'host:port' ] ],
		[ 'line', [ 'sim-select', '!gpiochip0:20', 'gpiochip0:20' ], [ 'a b', 'chip:x' ] ],
		[ 'url', [ 'https://a.example:5000', 'https://[::1]:1/x' ], [ 'ftp://a', 'a.example', 'https://user@host/' ] ],
		[ 'plmn', [ '26201', '310410' ], [ '2620', 'abcde' ] ],
		[ 'credential', [ '/etc/remsim/ca.pem', 'office-ca' ], [ 'a b', '../x y' ] ],
	]) {
		for (const v of taken)
			assert.ok(ok(shape, v), `${shape} ${v}`);
		for (const v of refused)
			assert.ok(!ok(shape, v), `${shape} ${v}`);
		assert.ok(ok(shape, ''), 'empty means unset');
	}
});

test('the first set-up writes only options that exist, and a complete modem', () => {
	const answers = { name: 'primary', role: 'primary', match: 'usb:2-1', network: 'wwan0', front: 'auto', device: '', sim_line: '', way: 'bank', host: 'bank.example.com', port: '9999', tls: true, ca_cert: '', client_id: '7', client_slot: '0', bank_id: '1', slot: '2' };
	for (const step of [ 'modem', 'front', 'bank', 'check' ])
		assert.equal(setup.missing(step, answers), '', step);
	const known = new Map(contract('options').map(o => [ `${o.section}.${o.name}`, o ]));
	for (const way of [ 'kept', 'server', 'bank' ])
		for (const section of setup.plan({ ...answers, way }))
			for (const [ name, value ] of Object.entries(section.options)) {
				const o = known.get(`${section.type}.${name}`);
				assert.ok(o, `${section.type}.${name}`);
				assert.equal(Array.isArray(value), o.list);
				assert.ok(!o.choices.length || o.choices.includes(value), `${name}=${value}`);
			}
	const store = {}, uci = {
		get: (_c, s) => store[s], add: (_c, type, name) => { const id = name ?? `cfg${Object.keys(store).length}`; store[id] = { '.type': type }; return id; },
		set: (_c, s, o, v) => { store[s][o] = v; },
	};
	setup.write(uci, setup.plan(answers));
	setup.write(uci, setup.plan({ ...answers, way: 'kept' }));
	assert.deepEqual(Object.values(store).map(s => s['.type']), [ 'remsim', 'modem', 'bank' ], 'a second run changes what is there');
	assert.deepEqual(store.primary.match, 'usb:2-1');
});

test('a set-up that lacks something says what', () => {
	for (const [ step, change ] of [ [ 'modem', { match: '' } ], [ 'modem', { name: 'a b' } ], [ 'modem', { match: 'nonsense' } ], [ 'front', { device: 'nonsense' } ], [ 'bank', { host: '' } ], [ 'bank', { port: '0' } ], [ 'bank', { client_id: '' } ], [ 'bank', { way: 'bank', slot: '5000' } ], [ 'bank', { way: 'kept', client_id: 'x' } ] ]) {
		const answers = { name: 'm', match: 'usb:2-1', front: 'cardem', way: 'server', host: 'h', port: '1', client_id: '1', client_slot: '0', bank_id: '1', slot: '0', ...change };
		assert.notEqual(setup.missing(step, answers), '', JSON.stringify(change));
	}
});

test('what was found becomes choices, and nothing found is no error', () => {
	const found = contract('discover'), c = setup.choices(found);
	assert.deepEqual(c.match, [ [ 'usb:2-1', 'Acme Mobile-5G (usb:2-1) is primary' ] ], 'a modem without a lasting name is no choice');
	assert.deepEqual(c.line.map(([ v ]) => v), [ 'sim-select', 'gpiochip0:4' ]);
	assert.deepEqual(c.network.map(([ v ]) => v), [ 'wwan0', 'wan' ]);
	assert.deepEqual([ setup.networkOf(found, 'usb:2-1'), setup.networkOf(found, 'usb:9-9'), setup.frontOf(found, 'usb:1-1:0') ], [ 'wwan0', '', 'cardem' ]);
	assert.deepEqual(setup.choices(undefined), { match: [], device: [], line: [], network: [] });
});
