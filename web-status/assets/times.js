// The viewer's own time beside UTC.

const day = { year: "numeric", month: "2-digit", day: "2-digit" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit",
	hourCycle: "h23" };
// Swedish dates are those of ISO 8601: short, and in order in any language.
const local = new Intl.DateTimeFormat("sv-SE", { ...day, ...clock });
const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short",
	hour: "2-digit" });

function zoneName(date) {
	const part = zone.formatToParts(date)
		.find((p) => p.type === "timeZoneName");
	return part ? part.value : "";
}

export function localTimes(root) {
	for (const time of root.querySelectorAll("time[datetime]")) {
		const date = new Date(time.dateTime);

		if (Number.isNaN(date.getTime()) || time.dataset.done)
			continue;
		time.dataset.done = "yes";
		if (date.getTimezoneOffset() === 0)
			continue;
		const utc = document.createElement("small");
		utc.className = "utc";
		// The day stands there when it is another one.
		const same = local.format(date).slice(0, 10) ===
			time.dateTime.slice(0, 10);
		utc.textContent = `${same ? "" : time.dateTime.slice(5, 10) + " "
		}${time.dateTime.slice(11, 19)} UTC`;
		const name = document.createElement("small");
		name.textContent = zoneName(date);
		time.replaceChildren(local.format(date), " ", name, " ", utc);
	}
}
