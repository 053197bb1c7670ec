/* Text from outside: operator names, devices, bank messages with markup, right to
   left and long. It is shown as text everywhere and can do nothing. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Demo, Visit, close, launch } from '../rig.mjs';

const contract = name => JSON.parse(readFileSync(path.join(import.meta.dirname, `../../contract/${name}.json`), 'utf8'));
const status = contract('status-troubled');
const hostile = status.modems[0].operator;
const long = 'Donaudampfschifffahrtsgesellschaft'.repeat(8);

const replies = {
	status,
	events: contract('events'),
	diagnose: contract('diagnose-troubled'),
	config: { ok: false, path: hostile, errors: [ { section: hostile, option: hostile, value: hostile, message: hostile } ], warnings: [], costs: [ { setting: `failover.${hostile}`, seconds: 1, mb_month: 1 } ] },
	discover: {
		modems: [ { match: 'usb:2-1', manufacturer: hostile, model: long, configured: hostile, network: hostile } ],
		fronts: [ { kind: hostile, device: hostile, model: hostile, reason: hostile, free_for: [] } ],
		lines: [ { name: hostile, chip: 'gpiochip0', offset: 1, consumer: hostile } ],
		networks: [ { name: 'wwan0', proto: hostile } ], notes: [ hostile ],
	},
	credential: { credentials: [ { kind: hostile, name: hostile, expires: 0 } ] },
	test: { ok: false, steps: [ { name: hostile, ok: false, ms: 1, text: hostile } ] },
	gpio: { line: hostile, chip: hostile, offset: 1, consumer: hostile, direction: hostile, active_low: false, plan: [ hostile ], conflicts: [ hostile ] },
	trace: { apdus: [ { id: 1, time: 1, modem: 'primary', ms: 1, command: hostile, name: hostile, response: hostile, status: hostile } ] },
	identities: { modems: [ { name: hostile, imei: hostile, iccid: hostile, imsi: hostile, eid: '' } ] },
};

let demo = null;
before(async () => {
	await launch();
	demo = await Demo.start();
});
after(async () => {
	await close();
	await demo?.stop();
});

/* Puts the hostile replies in the place of the daemon's. */
async function poison(page) {
	await page.route(url => url.pathname.replace(/\/$/, '').endsWith('/ubus'), async route => {
		const asked = JSON.parse(route.request().postData() ?? '[]');
		const reply = await route.fetch();
		const body = await reply.json();
		for (const message of [ asked ].flat()) {
			const [ , object, method ] = message.params ?? [];
			const answer = [ body ].flat().find(a => a.id == message.id);
			if (object == 'remsim' && replies[method] && answer) {
				delete answer.error;
				answer.result = [ 0, replies[method] ];
			}
		}
		await route.fulfill({ response: reply, json: body });
	});
}

/* Nothing of it became an element or ran. */
async function harmless(visit, where) {
	const found = await visit.page.evaluate(() => [ window.hacked, document.querySelectorAll('#view img, .modal img, .alert-message img, #view script').length ]);
	assert.deepEqual(found.filter(Boolean), [], where);
}

const shows = (visit, selector = '#view') => visit.page.waitForFunction(([ s, t ]) => document.querySelector(s)?.textContent.includes(t), [ selector, hostile ]);

for (const [ width, dark ] of [ [ 1280, false ], [ 360, true ] ])
	test(`markup from outside stays text, ${width} px`, async t => {
		const visit = await Visit.start(demo, { width, dark });
		await poison(visit.page);
		for (const name of [ 'overview', 'modems', 'card', 'failover', 'history', 'events', 'diagnose', 'settings', 'wizard' ])
			await t.test(name, async () => {
				await visit.open(name);
				if (name != 'history')
					await shows(visit);
				await harmless(visit, name);
				await visit.shot(`hostile-${name}`);
				assert.ok(await visit.overflow() <= 0, `wider than the window by ${await visit.overflow()} px`);
				assert.deepEqual(visit.errors.splice(0), []);
			});
		await visit.close();
	});

test('markup in dialogs, tests and traces stays text', async () => {
	const visit = await Visit.start(demo);
	await poison(visit.page);
	await visit.open('modems');
	await visit.page.click('#modem-primary button:text-is("Line: sim")');
	await shows(visit, '.modal');
	await harmless(visit, 'dry run');
	await visit.page.click('.modal button:text-is("Close")');
	await visit.page.click('#view button:text-is("Show whole numbers")');
	await shows(visit, '.modal');
	await harmless(visit, 'whole numbers');
	await visit.open('card');
	await visit.page.click('#view button:text-is("Test: Card")');
	await shows(visit, '#remsim-actions');
	await visit.page.click('#view button:text-is("Start tracing")');
	await shows(visit, '#remsim-trace');
	await harmless(visit, 'card');
	await visit.open('settings');
	await visit.page.click('#remsim-credentials button:text-is("Remove")');
	await shows(visit, '.modal');
	await harmless(visit, 'credential');
	assert.deepEqual(visit.errors, []);
	await visit.close();
});
