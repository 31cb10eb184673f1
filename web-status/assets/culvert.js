// The page works without this: here is what makes it live and local.
import { localTimes } from "./times.js";
import { follow, listen } from "./live.js";

document.documentElement.classList.add("js");

// The theme at once, without loading the page again.
for (const link of document.querySelectorAll("a[data-theme-set]")) {
	link.addEventListener("click", () => {
		document.documentElement.dataset.theme = link.dataset.themeSet;
	});
}

// Configuration to be copied.
for (const pre of document.querySelectorAll("pre[data-copy]")) {
	if (!navigator.clipboard)
		break;
	const button = document.createElement("button");
	button.type = "button";
	button.className = "quiet copy";
	button.textContent = pre.dataset.copy;
	button.addEventListener("click", async () => {
		await navigator.clipboard.writeText(pre.textContent);
		button.textContent = document.body.dataset.copied;
		setTimeout(() => {
			button.textContent = pre.dataset.copy;
		}, 2000);
	});
	pre.after(button);
}

// Tables stand in for charts where there is no script.
for (const details of document.querySelectorAll(".chart details"))
	details.open = false;

localTimes(document);
if (document.querySelector("div.part"))
	listen();
if (document.querySelector(".progress"))
	follow();
if (document.querySelector("[data-chart]"))
	import("./charts.js").then((charts) => charts.draw());
