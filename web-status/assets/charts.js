// Charts by uPlot; the same figures stand below each as a table.

const kinds = {
	rate: { series: ["in", "out"], format: rate },
	queue: { series: ["queue"], format: count, least: 4,
		axis: { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3,
			1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7] } },
	latency: { series: ["p50", "p99"], format: seconds },
};
const inks = ["--one", "--two", "--three"];
const dashes = [[], [6, 4], [2, 3]];

function scaled(v, units, step) {
	let i = 0;

	while (v >= step && i + 1 < units.length) {
		v /= step;
		i++;
	}
	return `${v >= 100 || Number.isInteger(v) ? Math.round(v)
		: v.toFixed(1)} ${units[i]}`;
}

function rate(v) {
	return scaled(v, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"], 1000);
}

function count(v) {
	return v.toLocaleString("en");
}

function seconds(v) {
	return v < 1 ? `${Number((v * 1000).toPrecision(3))} ms`
		: `${Number(v.toPrecision(3))} s`;
}

function ink(name) {
	return getComputedStyle(document.documentElement)
		.getPropertyValue(name).trim();
}

// What is 15 px on a desk is more on a wall: uPlot counts in pixels.
function unit() {
	return parseFloat(getComputedStyle(document.documentElement).fontSize) / 15;
}

async function uplot() {
	if (window.uPlot)
		return;
	await new Promise((resolve, reject) => {
		const script = document.createElement("script");
		script.src = "/assets/uplot.js";
		script.addEventListener("load", resolve);
		script.addEventListener("error", reject);
		document.head.append(script);
	});
}

// The hour, or the day where a range is longer than one.
function moments(u, list) {
	const days = u.scales.x.max - u.scales.x.min > 90000;

	return list.map((v) => {
		const d = new Date(v * 1000);
		const two = (n) => String(n).padStart(2, "0");
		return days ? `${two(d.getMonth() + 1)}-${two(d.getDate())}`
			: `${two(d.getHours())}:${two(d.getMinutes())}`;
	});
}

function axis(format, size) {
	return {
		stroke: ink("--soft"),
		grid: { stroke: ink("--line"), width: 1 },
		ticks: { stroke: ink("--line"), width: 1 },
		font: `${Math.round(12 * unit())}px system-ui, sans-serif`,
		size: Math.round(size * unit()),
		space: (format ? 30 : 60) * unit(),
		values: format ? (u, list) => list.map((v) =>
			v === null ? "" : format(v)) : moments,
	};
}

function line(label, i, format) {
	return {
		label,
		stroke: ink(inks[i]),
		width: 2 * unit(),
		dash: dashes[i],
		spanGaps: false,
		points: { show: false },
		value: (u, v) => v === null || v === undefined ? "–" : format(v),
	};
}

function plot(box, data) {
	const kind = kinds[box.dataset.chart];
	const keys = [...box.parentElement.querySelectorAll(".key")];
	const at = box.parentElement.querySelector(".at");
	const times = Array.from({ length: data.n }, (x, i) =>
		data.from + i * data.step);
	const values = kind.series.map((name) => data[name]);
	const high = Math.max(kind.least || 1e-9, ...values.flat().filter((v) => v !== null));

	box.replaceChildren();
	return new window.uPlot({
		width: box.clientWidth,
		height: box.clientHeight,
		legend: { show: false },
		cursor: { drag: { x: false, y: false }, points: { size: 7 } },
		scales: { y: { range: [0, high * 1.1] } },
		axes: [axis(null, 34), { ...axis(kind.format, 74), ...kind.axis }],
		series: [{}, ...kind.series.map((name, i) =>
			line(name, i, kind.format))],
		hooks: { setCursor: [(u) => readOut(u, keys, at, kind)] },
	}, [times, ...values], box);
}

const moment = new Intl.DateTimeFormat("sv-SE", { year: "numeric",
	month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });

// The values under the pointer stand behind the names of the lines, the time
// in the corner: there is room for both, nothing moves.
function readOut(u, keys, at, kind) {
	const i = u.cursor.idx;
	const on = i !== null && i !== undefined;

	at.textContent = on ? moment.format(new Date(u.data[0][i] * 1000)) : "";
	keys.forEach((key, k) => {
		key.dataset.name = key.dataset.name || key.textContent;
		const v = on ? u.data[k + 1][i] : null;
		key.textContent = v === null || v === undefined
			? key.dataset.name
			: `${key.dataset.name} ${kind.format(v)}`;
	});
}

let plots = [];
let figures = null;

// Anew, from figures that are here: colours and sizes may have changed.
function redraw() {
	if (!figures)
		return;
	for (const p of plots)
		p.destroy();
	plots = [...document.querySelectorAll("[data-chart]")]
		.map((box) => plot(box, figures));
	document.documentElement.dataset.charts = "drawn";
}

async function refresh() {
	const range = document.querySelector("[data-chart]").dataset.range;
	const answer = await fetch(`/series?range=${range}`);

	if (!answer.ok)
		return;
	figures = await answer.json();
	redraw();
}

export async function draw() {
	let waiting;

	document.documentElement.classList.add("charts");
	await uplot();
	await refresh();
	setInterval(() => {
		if (!document.hidden)
			refresh().catch(() => {});
	}, 15000);
	addEventListener("resize", () => {
		clearTimeout(waiting);
		waiting = setTimeout(redraw, 200);
	});
	matchMedia("(prefers-color-scheme: dark)")
		.addEventListener("change", redraw);
	matchMedia("print").addEventListener("change", redraw);
}
