/* Every page in its four looks: it stands, nothing goes wrong, axe-core has nothing
   to say, nothing sticks out, and a screenshot is kept. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, Visit, close, launch, pages } from '../rig.mjs';

let demo = null;
before(async () => {
	await launch();
	demo = await Demo.start();
});
after(async () => {
	await close();
	await demo?.stop();
});

const looks = [ { dark: false, width: 1280 }, { dark: true, width: 1280 }, { dark: false, width: 360 }, { dark: true, width: 360 } ];
for (const look of looks)
	test(`every page, ${look.dark ? 'dark' : 'light'}, ${look.width} px`, async t => {
		const visit = await Visit.start(demo, look);
		const names = await pages(demo, visit.page);
		assert.ok(names.length >= 9, `the menu has ${names}`);
		for (const name of names)
			await t.test(name, async () => {
				await visit.open(name);
				await visit.shot(name);
				/* Once per colour is enough: the width changes no colour and no label. */
				if (look.dark == (look.width == 360))
					assert.deepEqual(await visit.axe(), []);
				assert.ok(await visit.overflow() <= 0, `wider than the window by ${await visit.overflow()} px`);
				assert.deepEqual(visit.errors.splice(0), []);
			});
		await visit.close();
	});

test('the card on the status page', async () => {
	const visit = await Visit.start(demo);
	await visit.page.goto(`${demo.url}cgi-bin/luci/admin/status/overview`);
	await visit.ready();
	await visit.sees('Remote SIM');
	await visit.shot('status');
	assert.deepEqual(visit.errors, []);
	await visit.close();
});
