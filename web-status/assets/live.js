// Parts of the page that change are sent by the server, ready made.
import { localTimes } from "./times.js";

const pulse = document.querySelector(".pulse");

function show(state) {
	if (!pulse)
		return;
	pulse.hidden = false;
	pulse.dataset.state = state;
	pulse.textContent = state === "on" ? pulse.dataset.on
		: pulse.dataset.off;
}

// Who reads or selects something must not lose it.
function busy(element) {
	const selection = document.getSelection();

	return element.contains(document.activeElement) ||
		(selection && !selection.isCollapsed &&
		 element.contains(selection.anchorNode));
}

function take(part) {
	const old = document.getElementById(part.id);

	if (!old || busy(old))
		return;
	const box = document.createElement("template");
	box.innerHTML = part.html;
	localTimes(box.content);
	if (!part.whole) {
		old.replaceChildren(box.content);
		return;
	}
	const fresh = box.content.firstElementChild;
	// What was scrolled to stays where it is.
	const left = [...old.querySelectorAll(".wide")].map((e) => e.scrollLeft);
	old.replaceChildren(...fresh.childNodes);
	[...old.querySelectorAll(".wide")].forEach((e, i) => {
		e.scrollLeft = left[i] || 0;
	});
}

export function listen() {
	const source = new EventSource("/events");

	source.addEventListener("open", () => show("on"));
	source.addEventListener("error", () => show("off"));
	source.addEventListener("message", (event) => {
		show("on");
		for (const part of JSON.parse(event.data).parts)
			take(part);
	});
	// A page put away keeps no connection.
	addEventListener("pagehide", () => source.close());
	addEventListener("pageshow", (event) => {
		if (event.persisted)
			location.reload();
	});
}

// Rows of a transfer that is under way: how far it has come.
function renew(row, fresh) {
	const old = row.querySelector(".progress");
	const now = fresh.querySelector(".progress");

	if (now)
		old.replaceChildren(...now.childNodes);
	else if (!busy(row)) {
		localTimes(fresh);
		row.replaceWith(fresh);
	}
}

export function follow() {
	const timer = setInterval(async () => {
		const here = new URL(location.href);
		const rows = [...document.querySelectorAll("tbody tr")];

		if (document.hidden)
			return;
		if (!document.querySelector(".progress")) {
			clearInterval(timer);
			return;
		}
		// What goes on record is not asked for again.
		here.searchParams.delete("patient");
		const answer = await fetch(here);
		const page = new DOMParser().parseFromString(
			await answer.text(), "text/html");
		const fresh = [...page.querySelectorAll("tbody tr")];

		rows.forEach((row, i) => {
			if (fresh[i] && row.querySelector(".progress"))
				renew(row, fresh[i]);
		});
	}, 3000);
}
