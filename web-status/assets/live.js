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

// old becomes like fresh, in place: what has not changed stays what it is, with
// its focus, its selection, and how far it was scrolled or opened.
function become(old, fresh) {
	if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
		old.replaceWith(fresh);
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) {
		if (old.data !== fresh.data)
			old.data = fresh.data;
		return;
	}
	for (const { name } of [...old.attributes])
		if (name !== "open" && !fresh.hasAttribute(name))
			old.removeAttribute(name);
	for (const { name, value } of fresh.attributes)
		if (name !== "open" && old.getAttribute(name) !== value)
			old.setAttribute(name, value);
	becomeWithin(old, fresh);
}

function becomeWithin(old, fresh) {
	const had = [...old.childNodes];
	const has = [...fresh.childNodes];

	has.forEach((node, i) => {
		if (i < had.length)
			become(had[i], node);
		else
			old.append(node);
	});
	for (const node of had.slice(has.length))
		node.remove();
}

function take(part) {
	const old = document.getElementById(part.id);
	const box = document.createElement("template");

	if (!old)
		return;
	box.innerHTML = part.html;
	localTimes(box.content);
	becomeWithin(old, part.whole ? box.content.firstElementChild
		: box.content);
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
export function follow() {
	const timer = setInterval(async () => {
		const rows = [...document.querySelectorAll("tbody tr")];

		if (document.hidden)
			return;
		if (!document.querySelector(".progress")) {
			clearInterval(timer);
			return;
		}
		const answer = await fetch(location.href);
		const page = new DOMParser().parseFromString(
			await answer.text(), "text/html");
		const fresh = [...page.querySelectorAll("tbody tr")];

		localTimes(page);
		rows.forEach((row, i) => {
			if (fresh[i] && row.querySelector(".progress"))
				become(row, fresh[i]);
		});
	}, 3000);
}
