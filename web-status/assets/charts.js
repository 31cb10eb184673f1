// Charts by uPlot; the same figures stand below each as a table.

const kinds = {
	rate: { series: ["in", "out"], format: rate },
	queue: { series: ["queue"], format: count },
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

function axis(format, size) {
	return {
		stroke: ink("--soft"),
		grid: { stroke: ink("--line"), width: 1 },
		ticks: { stroke: ink("--line"), width: 1 },
		font: "12px system-ui, sans-serif",
		size,
		values: format ? (u, list) => list.map((v) =>
			v === null ? "" : format(v)) : undefined,
	};
}

function line(label, i, format) {
	return {
		label,
		stroke: ink(inks[i]),
		width: 2,
		dash: dashes[i],
		spanGaps: false,
		points: { show: false },
		value: (u, v) => v === null || v === undefined ? "–" : format(v),
	};
}

function plot(box, data) {
	const kind = kinds[box.dataset.chart];
	const keys = [...box.parentElement.querySelectorAll(".key")];
	const times = Array.from({ length: data.n }, (x, i) =>
		data.from + i * data.step);
	const values = kind.series.map((name) => data[name]);
	const high = Math.max(1e-9, ...values.flat().filter((v) => v !== null));

	box.replaceChildren();
	return new window.uPlot({
		width: box.clientWidth,
		height: box.clientHeight,
		legend: { show: false },
		cursor: { drag: { x: false, y: false }, points: { size: 7 } },
		scales: { y: { range: [0, high * 1.1] } },
		axes: [axis(null, 34), axis(kind.format, 74)],
		series: [{}, ...kind.series.map((name, i) =>
			line(name, i, kind.format))],
		hooks: { setCursor: [(u) => readOut(u, keys, kind)] },
	}, [times, ...values], box);
}

// The values under the pointer stand behind the names of the lines.
function readOut(u, keys, kind) {
	keys.forEach((key, i) => {
		key.dataset.name = key.dataset.name || key.textContent;
		const v = u.cursor.idx === null || u.cursor.idx === undefined
			? null : u.data[i + 1][u.cursor.idx];
		key.textContent = v === null || v === undefined
			? key.dataset.name
			: `${key.dataset.name} ${kind.format(v)}`;
	});
}

let plots = [];

async function refresh() {
	const boxes = [...document.querySelectorAll("[data-chart]")];
	const answer = await fetch(`/series?range=${boxes[0].dataset.range}`);

	if (!answer.ok)
		return;
	const data = await answer.json();
	for (const p of plots)
		p.destroy();
	plots = boxes.map((box) => plot(box, data));
	document.documentElement.dataset.charts = "drawn";
}

export async function draw() {
	let waiting;

	document.documentElement.classList.add("charts");
	await uplot();
	await refresh();
	setInterval(() => {
		if (!document.hidden)
			refresh();
	}, 15000);
	addEventListener("resize", () => {
		clearTimeout(waiting);
		waiting = setTimeout(refresh, 200);
	});
	matchMedia("(prefers-color-scheme: dark)")
		.addEventListener("change", refresh);
	matchMedia("print").addEventListener("change", refresh);
}
