/* Who may only look: the pages stand, actions are closed, no call changes anything;
   and who may write: settings go through save, apply and confirmation. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Demo, Visit, close, launch, luci } from '../rig.mjs';

let demo = null;
before(async () => {
	await launch();
	demo = await Demo.start();
});
after(async () => {
	await close();
	await demo?.stop();
});

test('no call changes anything for a user who may only look', async () => {
	const viewer = await demo.session('viewer');
	const acl = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../../rpcd/acl.d/luci-app-remsim.json'), 'utf8'));
	const writes = Object.values(acl).flatMap(group => group.write?.ubus?.remsim ?? []);
	assert.ok(writes.length >= 10, `${writes}`);
	for (const method of writes)
		assert.equal((await demo.call(viewer, 'remsim', method)).error?.code, -32002, method);
	for (const method of [ 'set', 'add', 'delete', 'apply', 'commit', 'order' ])
		assert.equal((await demo.call(viewer, 'uci', method, { config: 'remsim' })).error?.code, -32002, method);
	const status = await demo.call(viewer, 'remsim', 'status');
	assert.equal(status.result[0], 0);
	for (const secret of [ '8988211000000000011', '015550000000002', '001010123456789' ])
		assert.ok(!JSON.stringify(status).includes(secret), 'identities are masked');
});

test('a user who may only look sees every page, and can press nothing that acts', async () => {
	const visit = await Visit.start(demo, { user: 'viewer' });
	for (const name of [ 'overview', 'modems', 'card', 'failover', 'diagnose', 'settings' ]) {
		await visit.open(name);
		const open = await visit.page.$$eval('#view button.cbi-button-negative, #view button.cbi-button-save, #view button.cbi-button-apply', list => list.filter(b => !b.disabled).map(b => b.textContent));
		assert.deepEqual(open, [], name);
		assert.deepEqual(visit.errors.splice(0), [], name);
	}
	await visit.close();
});

test('a setting goes through save, apply and confirmation into the file', async () => {
	const visit = await Visit.start(demo);
	await visit.open('settings');
	const field = visit.page.locator('[id="widget.cbid.remsim.main.device_id"]');
	await field.fill('browser-made');
	await Promise.all([
		visit.page.waitForResponse(r => r.url().includes('/admin/uci/confirm') && r.ok()),
		visit.page.click('.cbi-page-actions .cbi-button-apply')
	]);
	const file = readFileSync(path.join(path.dirname(demo.socket), 'config/remsim'), 'utf8');
	assert.match(file, /option device_id 'browser-made'/);
	const status = await demo.call(await demo.session('viewer'), 'remsim', 'status');
	assert.equal(status.result[1].device_id, 'browser-made', 'the daemon has read it again');
	/* LuCI asks cgi-io whether the change could cut the browser off; the demo has none,
	   and LuCI goes on. */
	assert.deepEqual(visit.errors.filter(e => !luci || !/cgi-exec|404 \(Not Found\)/.test(e)), []);
	await visit.close();
});
