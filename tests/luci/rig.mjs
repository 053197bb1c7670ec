/* What every browser test stands on: a demo of its own, Debian's chromium, a page
   that keeps what goes wrong, axe-core, and screenshots. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { chromium } from 'playwright-core';

export const root = path.resolve(import.meta.dirname, '../..');
export const shots = path.join(root, 'build/screenshots');
export const password = 'remsim';

/* How long a test waits for anything: long, for loaded machines. */
export const bound = 30_000;

/* LuCI's own resources instead of the demo's small host: a checkout. */
export const luci = process.env.REMSIM_LUCI ?? '';
const suffix = luci ? '-luci' : '';

const programs = process.env.REMSIM_BUILD ?? path.join(root, 'build');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/* A remsim-demo that plays a world of this folder, on a port of its own. */
export class Demo {
	static async start(world = 'tests/luci/world.txt', ...args) {
		const demo = new Demo();
		const flags = [ '--world', world, '--listen', '127.0.0.1:0', ...args, ...(luci ? [ '--luci', luci ] : []) ];
		demo.process = spawn(path.join(programs, 'remsim-demo'), flags, { cwd: root, stdio: [ 'pipe', 'pipe', 'pipe' ] });
		demo.text = '';
		for (const stream of [ demo.process.stdout, demo.process.stderr ])
			stream.on('data', data => { demo.text += data; });
		demo.ended = once(demo.process, 'exit');
		demo.url = (await demo.says(/Open (http:\/\/\S+) in a browser/))[1];
		demo.socket = (await demo.says(/--ubus (\S+ubus\.sock)/))[1];
		return demo;
	}

	/* Wait until the demo has said something; what it said before `from` is old. */
	async says(pattern, from = 0) {
		for (const end = Date.now() + 2 * bound; Date.now() < end; await wait(20)) {
			const found = pattern.exec(this.text.substring(from));
			if (found)
				return found;
			if (this.process.exitCode != null)
				break;
		}
		throw new Error(`the demo never said ${pattern}:\n${this.text}`);
	}

	/* Make something happen to the world, as `bank stop`. */
	async does(command) {
		const from = this.text.length;
		this.process.stdin.write(`${command}\n`);
		const said = await this.says(/ {2}(> .*|error: .*)\n/, from);
		if (said[1].startsWith('error'))
			throw new Error(`${command}: ${said[1]}`);
	}

	/* Call a method as a session may: the result of JSON-RPC. */
	async call(sid, object, method, args = {}) {
		const res = await fetch(`${this.url}ubus/`, {
			method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call', params: [ sid, object, method, args ] })
		});
		return await res.json();
	}

	/* A session without a browser. */
	async session(user) {
		const reply = await this.call('0'.repeat(32), 'session', 'login', { username: user, password });
		return reply.result[1].ubus_rpc_session;
	}

	async stop() {
		this.process.kill('SIGINT');
		await this.ended;
	}
}

let browser = null;

/* One chromium for all pages of a test program. */
export async function launch() {
	browser ??= await chromium.launch({
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		args: [ '--no-sandbox', '--disable-dev-shm-usage', '--enable-precise-memory-info', '--js-flags=--expose-gc' ]
	});
	return browser;
}

export async function close() {
	await browser?.close();
	browser = null;
}

/* Where each page of the app stands below the menu. */
export async function pages(demo, page) {
	const reply = await page.request.get(`${demo.url}cgi-bin/luci/admin/menu`);
	const tree = await reply.json();
	const entries = tree.children.admin.children.services.children.remsim.children;
	return Object.keys(entries).filter(name => entries[name].satisfied).sort((a, b) => entries[a].order - entries[b].order);
}

/* A logged-in page that notes every error, of which none may be left at the end. */
export class Visit {
	static async start(demo, { user = 'root', dark = false, width = 1280, locale = 'en-US' } = {}) {
		const visit = new Visit();
		const context = await (await launch()).newContext({
			viewport: { width, height: 900 }, colorScheme: dark ? 'dark' : 'light', locale, reducedMotion: 'reduce'
		});
		Object.assign(visit, { demo, context, errors: [], look: `${dark ? 'dark' : 'light'}-${width}` });
		visit.page = await context.newPage();
		visit.page.setDefaultTimeout(bound);
		await visit.login(user);
		visit.watch();
		return visit;
	}

	/* From here on nothing may go wrong. (The login page itself is a 403, as LuCI's.) */
	watch() {
		this.page.on('pageerror', e => this.errors.push(`exception: ${e.message}`));
		this.page.on('console', m => { if (m.type() == 'error') this.errors.push(`console: ${m.text()}`); });
		this.page.on('response', r => { if (r.status() >= 400) this.errors.push(`HTTP ${r.status()}: ${r.url()}`); });
		this.page.on('requestfailed', r => {
			/* A stream or a poll that the next page ends is no failure. */
			if (r.failure()?.errorText != 'net::ERR_ABORTED')
				this.errors.push(`${r.failure()?.errorText}: ${r.url()}`);
		});
	}

	async login(user) {
		await this.page.goto(this.demo.url);
		await this.page.fill('input[name=luci_username]', user);
		await this.page.fill('input[name=luci_password]', password);
		await Promise.all([ this.page.waitForURL(/cgi-bin/), this.page.click('input[type=submit]') ]);
		await this.page.waitForSelector('#view');
	}

	/* Go to a page of the app and wait until its view stands. */
	async open(name) {
		await this.page.goto(`${this.demo.url}cgi-bin/luci/admin/services/remsim/${name}`);
		await this.ready();
	}

	async ready() {
		await this.page.waitForFunction(() => {
			const view = document.querySelector('#view');
			return view && view.firstElementChild && !view.querySelector(':scope > .spinning') && L.loaded;
		});
	}

	/* Wait until a text stands on the page. */
	async sees(text) {
		await this.page.waitForFunction(t => document.querySelector('#view').textContent.includes(t), text);
	}

	text() { return this.page.textContent('#view'); }

	async shot(name) {
		mkdirSync(shots, { recursive: true });
		await this.page.screenshot({ path: path.join(shots, `${name}-${this.look}${suffix}.png`), fullPage: true });
	}

	/* What axe-core complains of in the view: rule, and where. LuCI's own frame
	   around it, its form widgets and the colours of its themes are LuCI's. */
	async axe() {
		await this.page.evaluate(axeSource);
		const rules = [ 'region', 'page-has-heading-one', 'heading-order', ...(luci ? [ 'color-contrast' ] : []) ];
		const found = await this.page.evaluate(async ([ off, foreign ]) => (await axe.run({ include: [ '#view' ], exclude: foreign }, {
			runOnly: [ 'wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice' ],
			rules: Object.fromEntries(off.map(rule => [ rule, { enabled: false } ]))
		})).violations.flatMap(v => v.nodes.map(n => `${v.id}: ${v.help}: ${n.html.substring(0, 160)}`)), [ rules, luci ? [ '.cbi-map' ] : [] ]);
		return found;
	}

	/* By how many pixels the page is wider than its window. LuCI's own frame is wider than
	   a phone with nine tabs in it, so there only what the page itself shows counts, but for
	   what scrolls in a box of its own. */
	overflow() {
		return this.page.evaluate(framed => {
			const root = document.documentElement;
			if (!framed)
				return root.scrollWidth - root.clientWidth;
			const boxed = node => node.id != 'view' && (getComputedStyle(node).overflowX != 'visible' || boxed(node.parentElement));
			const rights = [ ...document.querySelectorAll('#view *') ].filter(node => node.offsetParent && !boxed(node.parentElement))
				.map(node => node.getBoundingClientRect().right);
			return Math.round(Math.max(0, ...rights) - root.clientWidth);
		}, luci != '');
	}

	async close() { await this.context.close(); }
}
