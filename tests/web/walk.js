// Walks the status page as a browser does, and says what is wrong with it.
//
//   node walk.js PLAN.json     (NODE_PATH: playwright-core, axe-core)
//
// PLAN: {base, out, browser, roles: {name: {user, password, views: {name:
// path}}}}. Prints one JSON object: {pages, axe, shots, problems: [...]}.
"use strict";
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const widths = [360, 1280, 3840];
const heights = { 360: 740, 1280: 900, 3840: 2160 };
const result = { pages: 0, axe: 0, shots: [], problems: [] };

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
		// The stream of events ends with its page.
		if (!r.url().endsWith("/events"))
			problem(where(), `failed: ${r.url()}`);
	});
}

async function logIn(context, role) {
	const page = await context.newPage();

	await page.goto(`${plan.base}/login?next=%2F`);
	await page.fill("#name", role.user);
	await page.fill("#password", role.password);
	await page.click("form[action='/login'] button");
	await page.waitForSelector("#part-verdict");
	await page.close();
}

async function checkAxe(page, where) {
	// Evaluated by the debugger: no policy of the page stands in its way.
	await page.evaluate(axe);
	const found = await page.evaluate(() => window.axe.run(document, {
		resultTypes: ["violations"],
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
			"best-practice"],
	}));

	result.axe++;
	for (const v of found.violations)
		problem(where, `axe ${v.id}: ${v.help}: ${v.nodes.slice(0, 3)
			.map((n) => `${n.html.slice(0, 160)} [${n.any.concat(n.all)
				.map((c) => c.message).join("; ")
				.slice(0, 160)}]`).join(" | ")}`);
}

// Nothing may be wider than the window; tables scroll within themselves.
async function checkWidth(page, where) {
	const over = await page.evaluate(() => {
		const w = document.documentElement.clientWidth;

		if (document.documentElement.scrollWidth <= w)
			return "";
		const wide = [...document.querySelectorAll("body *")].find((e) =>
			e.getBoundingClientRect().right > w + 1 &&
			!e.closest(".wide, pre, .plot, details div"));
		return `${document.documentElement.scrollWidth} > ${w}` +
			(wide ? ` ${wide.outerHTML.slice(0, 120)}` : "");
	});

	if (over)
		problem(where, `wider than the window: ${over}`);
}

async function shoot(page, name) {
	const file = path.join(plan.out, `${name}.png`);

	await page.screenshot({ path: file, fullPage: true });
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

const walks = [
	{ theme: "light", language: "en", script: true, shots: [360, 1280] },
	{ theme: "dark", language: "zh", script: true, shots: [1280] },
	{ theme: "light", language: "zh", script: false, shots: [360] },
	{ theme: "dark", language: "en", script: false, shots: [3840] },
	{ theme: "dark", language: "en", script: false, emptied: true,
		shots: [] },
];
const wide = ["now", "wall", "study"]; // worth a picture at 4K
let turn = 0;

async function visit(page, role, view, o) {
	const where = [role, view, o.theme, o.language,
		o.script ? "js" : "plain"].join("-");
	const address = plan.roles[role].views[view];

	page.where = where;
	const answer = await page.goto(plan.base + address +
		(address.includes("?") ? "&" : "?") + `lang=${o.language}`,
		{ waitUntil: "load" });

	result.pages++;
	if (answer.status() !== 200) {
		problem(where, `status ${answer.status()}`);
		return;
	}
	await ready(page, o.script);
	const lang = await page.getAttribute("html", "lang");

	if (!lang.startsWith(o.language))
		problem(where, `language is ${lang}`);
	for (const w of widths) {
		await page.setViewportSize({ width: w, height: heights[w] });
		await checkWidth(page, `${where}-${w}`);
		if (o.shots.includes(w) && (w < 3000 || wide.includes(view))) {
			await page.waitForTimeout(o.script ? 350 : 0);
			await shoot(page, `${view}-${role}-${w}-${o.theme}-` +
				`${o.language}${o.script ? "" : "-plain"}`);
		}
	}
	const w = widths[turn++ % widths.length];

	await page.setViewportSize({ width: w, height: heights[w] });
	// Without scripts axe has none either: it looks at the emptied ones.
	if (o.script || o.emptied)
		await checkAxe(page, `${where}-${w}`);
}

async function walk(browser, role, o) {
	const context = await browser.newContext({
		colorScheme: o.theme,
		javaScriptEnabled: o.script || Boolean(o.emptied),
		timezoneId: o.language === "zh" ? "Asia/Shanghai"
			: "Europe/Berlin",
		viewport: { width: 1280, height: 900 },
	});

	if (o.emptied)
		await context.route("**/assets/*.js", (route) => route.fulfill({
			contentType: "text/javascript", body: "" }));
	await logIn(context, plan.roles[role]);
	const page = await context.newPage();

	watch(page, () => page.where || role);
	for (const view of Object.keys(plan.roles[role].views))
		await visit(page, role, view, o);
	await context.close();
}

// The page of now changes by itself, and by keyboard everything is reached.
async function checkLive(browser, role) {
	const context = await browser.newContext();

	await logIn(context, plan.roles[role]);
	const page = await context.newPage();

	watch(page, () => "live");
	await page.goto(`${plan.base}/`);
	await page.waitForSelector(".pulse[data-state=on]");
	await page.keyboard.press("Tab");
	const first = await page.evaluate(() =>
		document.activeElement.getAttribute("href"));

	if (first !== "#main")
		problem("live", `the first stop of Tab is ${first}`);
	await page.evaluate(() => {
		document.querySelector("#part-machine dd").textContent = "stale";
	});
	await page.waitForFunction(() => document.querySelector(
		"#part-machine dd").textContent !== "stale", null,
		{ timeout: 30000 });
	await context.close();
}

async function checkTheme(browser, role) {
	const context = await browser.newContext({ javaScriptEnabled: false });

	await logIn(context, plan.roles[role]);
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
	await page.goto(`${plan.base}/login`);
	await checkAxe(page, "login");
	await shoot(page, "login");
	await context.close();
}

async function main() {
	const browser = await chromium.launch({
		executablePath: plan.browser,
		args: ["--no-sandbox", "--disable-dev-shm-usage", "--lang=en"],
	});

	fs.mkdirSync(plan.out, { recursive: true });
	await checkLogin(browser);
	// Each role by itself, at once; between them every pair of theme,
	// language and script comes up.
	await Promise.all(Object.keys(plan.roles).map(async (role) => {
		for (const o of walks)
			await walk(browser, role, o);
	}));
	await checkLive(browser, Object.keys(plan.roles)[0]);
	await checkTheme(browser, Object.keys(plan.roles)[0]);
	await browser.close();
}

main().then(() => {
	process.stdout.write(JSON.stringify(result));
}, (e) => {
	result.problems.push(`walk: ${e.stack}`);
	process.stdout.write(JSON.stringify(result));
	process.exitCode = 1;
});
