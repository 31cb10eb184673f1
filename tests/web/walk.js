// Walks the status page as a browser does, and says what is wrong with it.
//
//   node walk.js PLAN.json     (NODE_PATH: playwright-core, axe-core)
//
// PLAN: {base, out, browser, shots, roles: {name: {user, password, views:
// {name: path}}}}. shots: file names to take pictures of begin so; [""]: of
// everything. Prints one JSON object: {loads, looks, axe, shots, problems}.
//
// Each view is loaded as each role, in both languages, with and without
// scripts. Each of those loads is looked at in light and dark and at three
// widths: that nothing overflows, and that the console stays silent. axe has
// all its rules on each load, in the first language at two widths (at the
// third, 4K, only sizes differ from the second), and there once more for the
// contrast of the dark colours, which is all that a theme changes. Of long
// tables it sees the first rows: the others are made by the same lines.
"use strict";
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const widths = [360, 1280, 3840];
// As low as they may be: what lies below is laid out too, but not painted.
const heights = { 360: 640, 1280: 720, 3840: 720 };
const themes = ["light", "dark"];
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
	"best-practice"];
// Where axe looks: width, theme, rules.
const thorough = [[360, "light"], [1280, "light"],
	[1280, "dark", ["color-contrast"]]];
const once = [[1280, "light"]];
const LANES = 3; // pages at once
const ROWS = 12; // of a table, for axe
const result = { loads: 0, looks: 0, axe: 0, shots: [], problems: [] };

function problem(where, what) {
	result.problems.push(`${where}: ${what}`);
}

function watch(page, where) {
	page.on("console", (m) => {
		if (m.type() === "error" || m.type() === "warning")
			problem(where(), `console: ${m.text()}`);
	});
	page.on("pageerror", (e) => problem(where(), `script: ${e.message}`));
	page.on("dialog", (d) => {
		problem(where(), `dialog: ${d.message()}`);
		d.dismiss();
	});
	page.on("request", (r) => {
		if (!r.url().startsWith(plan.base) && !r.url().startsWith("data:"))
			problem(where(), `outside request: ${r.url()}`);
	});
	page.on("requestfailed", (r) => {
		// What is under way ends with its page.
		if (!/\/(events|series)\b/.test(r.url()))
			problem(where(), `failed: ${r.url()}`);
	});
}

// The cookies of a session, for any number of contexts.
async function logIn(browser, role) {
	const context = await browser.newContext();
	const page = await context.newPage();

	await page.goto(`${plan.base}/login?next=%2Ftransfers`);
	await page.fill("#name", role.user);
	await page.fill("#password", role.password);
	await page.click("form[action='/login'] button");
	await page.waitForSelector("header.bar");
	const state = await context.storageState();

	await context.close();
	return state;
}

async function checkAxe(page, where, only) {
	const found = await page.evaluate((run) => window.axe.run(document, {
		resultTypes: ["violations"], runOnly: run }),
	only || rules);

	result.axe++;
	for (const v of found.violations)
		problem(where, `axe ${v.id}: ${v.help}: ${v.nodes.slice(0, 3)
			.map((n) => `${n.html.slice(0, 160)} [${n.any.concat(n.all)
				.map((c) => c.message).join("; ")
				.slice(0, 160)}]`).join(" | ")}`);
}

// Nothing may be wider than the window, tables scroll within themselves; and
// no words may run into those beside them.
async function checkLayout(page, where) {
	const wrong = await page.evaluate(() => {
		const w = document.documentElement.clientWidth;
		const over = document.documentElement.scrollWidth;
		const wide = over > w &&
			[...document.querySelectorAll("body *")].find((e) =>
				e.getBoundingClientRect().right > w + 1 &&
				!e.closest(".wide, pre, .plot, details div"));
		const cell = [...document.querySelectorAll(
			"td, tbody th, .facts > div, .tile p, .tile h2")]
			.find((e) => e.clientWidth > 0 &&
				e.scrollWidth > e.clientWidth + 2);

		return [over > w ? `wider than the window: ${over} > ${w} ` +
			(wide ? wide.outerHTML.slice(0, 120) : "") : "",
		cell ? `runs out of its place: ${cell.scrollWidth} > ` +
			`${cell.clientWidth} ${cell.outerHTML.slice(0, 160)}`
			: ""].filter(Boolean);
	});

	result.looks++;
	for (const text of wrong)
		problem(where, text);
}

async function cutTables(page) {
	await page.evaluate((keep) => {
		for (const body of document.querySelectorAll("tbody"))
			[...body.rows].slice(keep).forEach((row) => row.remove());
		// Nothing new comes while axe looks.
		for (const part of document.querySelectorAll(".part"))
			part.removeAttribute("id");
	}, ROWS);
}

async function shoot(page, name) {
	if (!(plan.shots || []).some((s) => name.startsWith(s)))
		return;
	const { width } = page.viewportSize();

	if (width > 3000)
		await page.setViewportSize({ width, height: 2160 });
	await page.waitForTimeout(400); // charts follow the size of the window
	await page.screenshot({ path: path.join(plan.out, `${name}.png`),
		fullPage: true });
	result.shots.push(name);
}

async function ready(page, script) {
	if (!script)
		return;
	await page.waitForSelector("html.js", { state: "attached" });
	if (await page.$("[data-chart]"))
		await page.waitForSelector("html[data-charts]",
			{ state: "attached" });
}

// One load, without scripts where o says so: axe is let in after it.
async function load(page, o) {
	const address = plan.roles[o.role].views[o.view];
	const devtools = await page.context().newCDPSession(page);

	await devtools.send("Emulation.setScriptExecutionDisabled",
		{ value: !o.script });
	const answer = await page.goto(plan.base + address +
		(address.includes("?") ? "&" : "?") + `lang=${o.language}`,
		{ waitUntil: "load" });
	result.loads++;
	await ready(page, o.script);
	await devtools.send("Emulation.setScriptExecutionDisabled",
		{ value: false });
	return answer;
}

async function visit(page, o) {
	const where = [o.role, o.view, o.language, o.script ? "js" : "plain"]
		.join("-");

	page.where = where;
	const answer = await load(page, o);

	if (answer.status() !== 200) {
		problem(where, `status ${answer.status()}`);
		return;
	}
	const lang = await page.getAttribute("html", "lang");

	if (!lang.startsWith(o.language))
		problem(where, `language is ${lang}`);
	// Evaluated by the debugger: no policy of the page stands in its way.
	await page.evaluate(axe);
	for (const w of widths) {
		await page.setViewportSize({ width: w, height: heights[w] });
		for (const theme of themes) {
			await page.emulateMedia({ colorScheme: theme });
			await checkLayout(page, `${where}-${theme}-${w}`);
			await shoot(page, `${o.view}-${o.role}-${w}-${theme}-` +
				`${o.language}${o.script ? "" : "-plain"}`);
		}
	}
	await cutTables(page);
	for (const [w, theme, only] of o.language === "en" ? thorough : once) {
		await page.setViewportSize({ width: w, height: heights[w] });
		await page.emulateMedia({ colorScheme: theme });
		await checkAxe(page, `${where}-${theme}-${w}`, only);
	}
}

// The page of now changes by itself, and by keyboard everything is reached.
async function checkLive(browser, state) {
	const context = await browser.newContext({ storageState: state });
	const page = await context.newPage();

	watch(page, () => "live");
	await page.goto(`${plan.base}/`);
	await page.waitForSelector(".pulse[data-state=on]");
	await page.keyboard.press("Tab");
	const first = await page.evaluate(() =>
		document.activeElement.getAttribute("href"));

	if (first !== "#main")
		problem("live", `the first stop of Tab is ${first}`);
	// What comes changes only what is not so any more: who reads a table by
	// keyboard stays there.
	await page.focus("#part-destinations .wide");
	await page.evaluate(() => {
		document.activeElement.mine = true;
		for (const part of ["machine", "destinations"])
			document.querySelector(`#part-${part} dd, ` +
				`#part-${part} td.n`).textContent = "stale";
	});
	await page.waitForFunction(() => ["machine", "destinations"].every(
		(part) => !document.querySelector(`#part-${part}`)
			.textContent.includes("stale")), null, { timeout: 30000 });
	if (!await page.evaluate(() => document.activeElement.mine))
		problem("live", "an update takes the focus away");
	await context.close();
}

async function checkTheme(browser, state) {
	const context = await browser.newContext({ storageState: state,
		javaScriptEnabled: false });
	const page = await context.newPage();

	await page.goto(`${plan.base}/transfers`);
	await page.click("a[data-theme-set=dark]");
	await page.goto(`${plan.base}/`);
	if (await page.getAttribute("html", "data-theme") !== "dark")
		problem("theme", "the choice is not kept");
	await context.close();
}

async function checkLogin(browser) {
	const context = await browser.newContext({
		viewport: { width: 1280, height: 900 } });
	const page = await context.newPage();

	watch(page, () => "login");
	for (const language of ["en", "zh"]) {
		await page.goto(`${plan.base}/login?lang=${language}`);
		await page.evaluate(axe);
		await checkAxe(page, `login-${language}`);
		await shoot(page, `login-${language}`);
	}
	await context.close();
}

// Every role, view, language, with scripts and without.
function loads() {
	const all = [];

	for (const role of Object.keys(plan.roles))
		for (const view of Object.keys(plan.roles[role].views))
			for (const language of ["en", "zh"])
				for (const script of [true, false])
					all.push({ role, view, language, script });
	return all;
}

async function lane(browser, states, jobs) {
	const pages = {}; // by role and language

	for (let o = jobs.shift(); o; o = jobs.shift()) {
		const key = `${o.role} ${o.language}`;

		if (!pages[key]) {
			const context = await browser.newContext({
				storageState: states[o.role],
				timezoneId: o.language === "zh" ? "Asia/Shanghai"
					: "Europe/Berlin" });

			pages[key] = await context.newPage();
			watch(pages[key], () => pages[key].where || key);
		}
		await visit(pages[key], o);
		// A page that is live stops being so.
		await pages[key].goto("about:blank");
	}
}

async function main() {
	const browser = await chromium.launch({
		executablePath: plan.browser,
		args: ["--no-sandbox", "--disable-dev-shm-usage", "--lang=en",
			"--disable-gpu"],
	});
	const states = {};
	const jobs = loads();

	fs.mkdirSync(plan.out, { recursive: true });
	await Promise.all([checkLogin(browser),
		...Object.keys(plan.roles).map(async (name) => {
			states[name] = await logIn(browser, plan.roles[name]);
		})]);
	const first = states[Object.keys(plan.roles)[0]];

	await Promise.all([checkLive(browser, first), checkTheme(browser, first),
		...Array.from({ length: LANES },
			() => lane(browser, states, jobs))]);
	await browser.close();
}

main().catch((e) => {
	problem("walk", e.stack);
}).then(() => {
	// A browser that hangs must not hold the result back.
	process.stdout.write(JSON.stringify(result), () => process.exit());
});
