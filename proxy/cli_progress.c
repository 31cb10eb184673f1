#include "proxy/cli_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/lib/clock.h"

#define EVERY_NS  100000000LL
#define SECOND_NS 1000000000LL

enum { COLUMNS = 80, COLUMNS_MAX = 200 };

static char *amount(const struct cli_progress *p, uint64_t n, char *out,
		    size_t size)
{
	if (p->unit == CLI_PROGRESS_BYTES)
		return cli_bytes(n, out, size);
	snprintf(out, size, "%llu", (unsigned long long)n);
	return out;
}

static void time_left(const struct cli_progress *p, double rate, char *out,
		      size_t size)
{
	double left;

	out[0] = '\0';
	if (p->total <= p->done || rate <= 0)
		return;
	left = (double)(p->total - p->done) / rate;
	if (left < 120)
		snprintf(out, size, "  %.0f s left", left);
	else if (left < 7200)
		snprintf(out, size, "  %.0f min left", left / 60);
	else
		snprintf(out, size, "  %.1f h left", left / 3600);
}

char *cli_progress_text(const struct cli_progress *p, int64_t now_ns, char *out,
			unsigned columns)
{
	char share[16] = "", done[32], total[48] = "", each[40], left[32];
	double s = (double)(now_ns - p->began_ns) / (double)SECOND_NS;
	double rate = s > 0 ? (double)p->done / s : 0;
	size_t size = columns < COLUMNS_MAX ? columns + 1 : COLUMNS_MAX + 1;

	if (p->total > 0) {
		uint64_t n = p->done < p->total ? p->done : p->total;

		snprintf(share, sizeof(share), "  %3.0f%%",
			 100.0 * (double)n / (double)p->total);
		snprintf(total, sizeof(total), " of %s",
			 amount(p, p->total, each, sizeof(each)));
	}
	time_left(p, rate, left, sizeof(left));
	amount(p, p->done, done, sizeof(done));
	amount(p, (uint64_t)rate, each, sizeof(each));
	snprintf(out, size, "%s%s  %s%s  %s/s%s", p->what, share, done, total,
		 each, left);
	return out;
}

static unsigned columns_now(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col < 20)
		return COLUMNS - 1;
	return w.ws_col < COLUMNS_MAX ? w.ws_col - 1u : COLUMNS_MAX;
}

void cli_progress_begin(struct cli_progress *p, const char *what,
			uint64_t total, enum cli_progress_unit unit)
{
	const char *term = getenv("TERM");

	*p = (struct cli_progress){.what = what, .total = total, .unit = unit};
	p->began_ns = p->shown_ns = (int64_t)clock_mono_ns();
	p->on = isatty(STDERR_FILENO) == 1 &&
		!(term != NULL && strcmp(term, "dumb") == 0);
}

void cli_progress_to(struct cli_progress *p, uint64_t done)
{
	char line[COLUMNS_MAX + 1];
	int64_t now;

	p->done = done;
	if (!p->on)
		return;
	now = (int64_t)clock_mono_ns();
	if (now - p->shown_ns < EVERY_NS)
		return;
	p->shown_ns = now;
	p->shown = true;
	fprintf(stderr, "\r%s\x1b[K",
		cli_progress_text(p, now, line, columns_now()));
	fflush(stderr);
}

void cli_progress_end(struct cli_progress *p)
{
	if (p->shown)
		fputs("\r\x1b[K", stderr);
	p->on = p->shown = false;
}
