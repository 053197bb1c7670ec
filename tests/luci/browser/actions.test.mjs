/* What a person does on each page, and that it shows: against the daemon's own
   status, not against the page. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { Demo, Visit, close, launch } from '../rig.mjs';

let demo = null, visit = null, sid = '';
before(async () => {
	await launch();
	demo = await Demo.start();
	sid = await demo.session('root');
});
after(async () => {
	await close();
	await demo?.stop();
});
beforeEach(async () => { visit = await Visit.start(demo); });
afterEach(async () => {
	const { errors } = visit;
	await visit.close();
	assert.deepEqual(errors, []);
});

const status = async () => (await demo.call(sid, 'remsim', 'status')).result[1];
const modem = async name => (await status()).modems.find(m => m.name == name);

/* Waits until the daemon says so; a loaded machine is slow. */
async function becomes(question) {
	await assert.doesNotReject(visit.page.waitForFunction(() => true));
	for (const end = Date.now() + 60000; Date.now() < end; await visit.page.waitForTimeout(100))
		if (await question())
			return;
	assert.fail(`never: ${question}`);
}

const press = title => visit.page.click(`#view button:text-is("${title}")`);
const confirm = () => visit.page.click('.modal [data-confirm]');

test('the overview shows what status says', async () => {
	await visit.open('overview');
	const s = await status();
	await visit.sees(s.reason);
	for (const m of s.modems) {
		const box = await visit.page.textContent(`[data-modem="${m.name}"]`);
		assert.ok(box.includes(m.operator), box);
	}
	const parts = await visit.page.$$eval('#remsim-cards [data-part]', list => list.map(g => `${g.dataset.part} ${g.dataset.tone}`));
	assert.deepEqual(parts, [ 'modem good', 'front good', 'server good', 'bank good', 'card good' ]);
	assert.match(await visit.page.getAttribute('#remsim-cards svg', 'aria-label'), /bank 1 slot 2/);
});

test('the chain breaks on the screen where the bank is away, and heals', async () => {
	await visit.open('overview');
	await visit.page.waitForSelector('#remsim-cards [data-part=bank][data-tone=good]', { state: 'attached' });
	await demo.does('bank stop');
	await visit.page.waitForSelector('#remsim-cards [data-part=bank][data-tone=bad]', { state: 'attached' });
	await visit.page.waitForSelector('#remsim-findings .alert-message');
	await visit.shot('overview-bank-away');
	await demo.does('bank start');
	await visit.page.waitForSelector('#remsim-cards [data-part=bank][data-tone=good]', { state: 'attached' });
});

test('a card is tried out, given back, used again, taken away and assigned', async () => {
	await visit.open('card');
	await press('Test: Card');
	await visit.sees('It works.');
	const before = (await status()).sessions[0].bankd.address;

	await press('Use the local card');
	await confirm();
	await becomes(async () => (await modem('primary')).card.source == 'local');
	await visit.page.waitForSelector('#view button:text-is("Use the remote card")');
	await press('Use the remote card');
	await confirm();
	await becomes(async () => (await modem('primary')).card.state == 'ready');

	await press('Take the card away');
	await confirm();
	await becomes(async () => !(await status()).sessions[0].bank);
	await visit.sees('none assigned');

	await press('Assign a bank slot…');
	const [ , host, port ] = before.match(/^(.*):(\d+)$/);
	for (const [ label, value ] of [ [ 'Address of the bank', host ], [ 'Port', port ], [ 'Bank', '1' ], [ 'Slot', '3' ] ])
		await visit.page.fill(`.modal input[aria-label="${label}"]`, value);
	await confirm();
	await becomes(async () => (await status()).sessions[0].bank?.slot == 3);
	await demo.call(sid, 'remsim', 'map', { modem: 'primary', host, port: Number(port), bank_id: 1, slot: 2 });
	await becomes(async () => (await modem('primary')).card.iccid.endsWith('0011') && (await modem('primary')).card.state == 'ready');
});

test('a question that is answered with no changes nothing', async () => {
	await visit.open('card');
	const { sequence } = await status();
	await press('Take the card away');
	await visit.page.click('.modal button:text-is("Cancel")');
	assert.ok((await status()).sessions[0].bank, 'still assigned');
	assert.ok(sequence);
});

test('commands show while tracing is on, decoded and with secrets hidden', async () => {
	await visit.open('card');
	await press('Start tracing');
	await press('Test: Card');
	await visit.page.waitForFunction(() => /AUTHENTICATE/.test(document.querySelector('#remsim-trace')?.textContent));
	const text = await visit.page.textContent('#remsim-trace');
	assert.match(text, /\{34 bytes hidden\}/);
	await visit.shot('card-trace');
	const [ file ] = await Promise.all([ visit.page.waitForEvent('download'), press('Export CSV') ]);
	assert.match(file.suggestedFilename(), /^remsim-trace-.*\.csv$/);
	await press('Stop tracing');
});

test('a line is looked at, and a modem is reset', async () => {
	await visit.open('modems');
	await visit.page.click('#modem-primary button:text-is("Line: sim")');
	await visit.page.waitForSelector('.modal ol li');
	await visit.page.click('.modal button:text-is("Close")');
	await visit.page.selectOption('#modem-iot select', 'modemmanager');
	await visit.page.click('#modem-iot button:text-is("Reset iot")');
	await confirm();
	await becomes(async () => (await demo.call(sid, 'remsim', 'events', { kind: 'reset' })).result[1].events.some(e => e.subject == 'iot' && /the modem is back/.test(e.text)));
	await becomes(async () => (await modem('iot')).state == 'connected');
});

test('whole numbers are shown to who may see them, on demand only', async () => {
	await visit.open('modems');
	assert.doesNotMatch(await visit.text(), /8988211000000000011/);
	await press('Show whole numbers');
	await visit.page.waitForFunction(() => /8988211000000000011/.test(document.querySelector('.modal')?.textContent));
	await visit.page.click('.modal button:text-is("Close")');
});

test('traffic is switched by hand and given back, and the picture shows it', async () => {
	await visit.open('failover');
	await visit.page.selectOption('select[aria-label="Traffic"]', 'control');
	await visit.page.selectOption('select[aria-label="Link"]', 'primary');
	await press('Switch');
	await confirm();
	await becomes(async () => (await status()).failover.control == 'primary');
	await visit.sees('user and control traffic');
	await visit.page.selectOption('select[aria-label="Traffic"]', 'control');
	await press('Give back');
	await becomes(async () => (await status()).failover.control == 'iot');
	await visit.page.waitForFunction(() => /primary.*iot|iot.*primary/s.test(document.querySelector('#view table:last-of-type')?.textContent));
	await visit.shot('failover-moved');
});

test('events come by themselves and can be narrowed and saved', async () => {
	await visit.open('events');
	await visit.page.waitForFunction(() => document.querySelectorAll('#remsim-events tr').length > 5);
	await demo.call(sid, 'remsim', 'tracing', { modem: 'primary', on: true });
	await demo.call(sid, 'remsim', 'tracing', { modem: 'primary', on: false });
	await visit.page.selectOption('select[aria-label="Kind"]', 'command');
	await visit.page.waitForFunction(() => /trac/.test(document.querySelector('#remsim-events')?.textContent));
	const kinds = await visit.page.$$eval('#remsim-events tr td:nth-child(2)', cells => [ ...new Set(cells.map(c => c.textContent)) ]);
	assert.deepEqual(kinds, [ 'Command' ]);
	const [ file ] = await Promise.all([ visit.page.waitForEvent('download'), press('Export JSON') ]);
	assert.match(file.suggestedFilename(), /^remsim-events-.*\.json$/);
});

test('measurements are drawn with axes and a sentence', async () => {
	await visit.open('history');
	const svg = visit.page.locator('#view svg[role=img]').first();
	await svg.waitFor({ state: 'attached' });
	assert.match(await svg.getAttribute('aria-label'), /now .*, lowest .*, highest/);
	assert.ok(await svg.locator('text').count() >= 5, 'labels of two axes');
	await visit.page.selectOption('select[aria-label="Time span"]', '7d');
	await visit.page.waitForFunction(() => document.querySelector('#view svg[role=img]'));
});

test('the diagnosis is a tree, tests run from it, the archive is saved', async () => {
	await visit.open('diagnose');
	await visit.page.waitForSelector('[data-check="configuration"] [data-check="primary server"]');
	const failed = await visit.page.$$eval('[data-ok=false]', list => list.map(li => li.dataset.check));
	assert.deepEqual(failed, (await demo.call(sid, 'remsim', 'diagnose')).result[1].checks.filter(c => !c.ok).map(c => c.name));
	await press('Test: SIM bank');
	await visit.sees('It works.');
	const [ file ] = await Promise.all([ visit.page.waitForEvent('download'), press('Save the archive') ]);
	assert.match(file.suggestedFilename(), /\.tar\.gz$/);
});

test('a credential is stored, listed and removed, and never shown again', async () => {
	await visit.open('settings');
	const block = '#remsim-credentials';
	await visit.page.selectOption(`${block} select`, 'api_key');
	await visit.page.fill(`${block} input[type=text]`, 'mesh');
	await visit.page.fill(`${block} textarea`, 'a-secret-of-32-characters-000000');
	await visit.page.click(`${block} button:text-is("Store")`);
	await visit.page.waitForFunction(b => /mesh/.test(document.querySelector(`${b} table`)?.textContent), block);
	assert.equal(await visit.page.inputValue(`${block} textarea`), '', 'the field is emptied');
	await visit.page.click(`${block} button:text-is("Remove")`);
	await confirm();
	await visit.page.waitForFunction(b => !/mesh/.test(document.querySelector(`${b} table`)?.textContent), block);
	assert.deepEqual((await demo.call(sid, 'remsim', 'credential')).result[1].credentials, []);
});
