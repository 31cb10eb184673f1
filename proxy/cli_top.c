/* cli_top.c - culvert top: the daemon's status, live in the terminal.
 *
 * Plain ANSI sequences on the alternate screen. The terminal is put back as it
 * was however the program ends, but for SIGKILL: signals only set a flag, and
 * the one loop looks at it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/cli.h"
#include "proxy/cli_commands.h"
#include "proxy/cli_table.h"
#include "proxy/cli_top_frame.h"
#include "proxy/control.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"

static const char help[] =
    "usage: culvert top [-c FILE] [--every SECONDS] [--once]\n\n"
    "How the daemon is, live: destinations, their queues and speed, limits of\n"
    "bandwidth and how much of them is used, spool, devices, and alerts with\n"
    "code and remedy. q ends it; the space bar asks at once.\n\n"
    "  --every SECONDS   how often; 2 when it is not given\n"
    "  --once            once, as plain text, for scripts; also when the\n"
    "                    output is no terminal\n\n"
    "examples:\n"
    "  culvert top\n"
    "  culvert top --once | head -n 3\n";

enum { DEVICES_MAX = 64, EVERY_MAX = 3600 };

static volatile sig_atomic_t ended, resized, stopped;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else if (number == SIGTSTP)
		stopped = 1;
	else
		ended = number;
}

/* ---- what is shown ------------------------------------------------------- */

struct top {
	const struct config *cfg;
	json_t *now, *before; /* answers */
	char why[256];
	int rc; /* of the last question */
	struct top_device devices[DEVICES_MAX];
	size_t n_devices;
	struct top_frame frame;
};

static bool on_device(void *arg, const json_t *line)
{
	const json_t *d = json_object_get(line, "row");
	struct top *t = arg;
	struct top_device *out = &t->devices[t->n_devices];

	if (d == NULL || t->n_devices == DEVICES_MAX)
		return true;
	snprintf(out->name, sizeof(out->name), "%s", cli_text(d, "name"));
	out->last_ms = cli_integer(d, "last_seen_ms");
	out->instances = (uint64_t)cli_integer(d, "instances");
	out->bytes = (uint64_t)cli_integer(d, "bytes");
	t->n_devices++;
	return true;
}

/* Without a ledger that can be read the rest is shown. */
static void ask_devices(struct top *t)
{
	json_t *request = json_pack("{s:s}", "op", "device-list"),
	       *answer = NULL;
	char why[256];

	t->n_devices = 0;
	if (control_ask_long(t->cfg->control.path, request, on_device, t,
			     &answer, why) != ERR_OK)
		t->n_devices = 0;
	json_decref(answer);
	json_decref(request);
}

static void ask(struct top *t)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = NULL;
	enum err e =
	    control_ask(t->cfg->control.path, request, &answer, NULL, t->why);

	json_decref(request);
	t->rc = e == ERR_OK ? CLI_OK : cli_ask_failed(e);
	if (e == ERR_OK && !json_is_true(json_object_get(answer, "ok"))) {
		snprintf(t->why, sizeof(t->why), "%s",
			 cli_text(answer, "error"));
		t->rc = cli_refused_answer(answer);
		json_decref(answer);
		answer = NULL;
	}
	json_decref(t->before);
	t->before = t->now;
	t->now = answer;
	if (answer != NULL)
		ask_devices(t);
	top_frame(&t->frame, t->now, t->before, t->why, t->devices,
		  t->n_devices, clock_wall_ms());
}

/* ---- the terminal ---------------------------------------------------------
 */

static struct termios as_it_was;

static void screen_begin(void)
{
	struct termios raw = as_it_was;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	fputs("\x1b[?1049h\x1b[?25l", stdout);
	fflush(stdout);
}

static void screen_end(void)
{
	fputs("\x1b[?25h\x1b[?1049l", stdout);
	fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
}

static void draw(const struct top *t)
{
	struct winsize w = {.ws_row = 24, .ws_col = 80};
	size_t rows;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_row == 0) {
		w.ws_row = 24;
		w.ws_col = 80;
	}
	rows = t->frame.n < w.ws_row ? t->frame.n : w.ws_row;
	fputs("\x1b[H", stdout);
	for (size_t i = 0; i < rows; i++) {
		const struct top_line *l = &t->frame.lines[i];

		printf("%s%.*s%s\x1b[K%s", cli_colour(l->colour), (int)w.ws_col,
		       l->text, cli_colour(CLI_PLAIN),
		       i + 1 < rows ? "\r\n" : "");
	}
	fputs("\x1b[J", stdout);
	fflush(stdout);
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT,  SIGTERM,  SIGHUP,
				      SIGQUIT, SIGWINCH, SIGTSTP};
	struct sigaction a = {.sa_handler = on_signal};

	sigemptyset(&a.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		(void)sigaction(numbers[i], &a, NULL);
}

/* The shell has the terminal while we are stopped. */
static void pause_here(void)
{
	stopped = 0;
	screen_end();
	(void)raise(SIGSTOP);
	screen_begin();
}

/* 'q', ' ', 0: nothing; -1: the terminal is gone. */
static int key(int wait_ms)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char c;
	ssize_t n;

	if (poll(&p, 1, wait_ms) <= 0)
		return 0;
	n = read(STDIN_FILENO, &c, 1);
	if (n == 1)
		return c;
	return n < 0 && errno == EINTR ? 0 : -1;
}

/* Until it is time to ask again; false: it is over. */
static bool wait_for(const struct top *t, int ms)
{
	uint64_t until = clock_mono_ns() / 1000000 + (uint64_t)ms;

	for (;;) {
		uint64_t now = clock_mono_ns() / 1000000;
		int c = now < until ? key((int)(until - now)) : ' ';

		if (ended || c == 'q' || c == 'Q' || c < 0)
			return false;
		if (stopped)
			pause_here();
		if (resized || c == 0) {
			resized = 0;
			draw(t);
			continue;
		}
		if (c == ' ')
			return true;
	}
}

static int live(struct top *t, int every_ms)
{
	if (tcgetattr(STDIN_FILENO, &as_it_was) != 0)
		return CLI_FAILED;
	catch_signals();
	screen_begin();
	do {
		ask(t);
		draw(t);
	} while (wait_for(t, every_ms));
	screen_end();
	return ended ? 128 + ended : CLI_OK;
}

static int once(struct top *t)
{
	ask(t);
	for (size_t i = 0; i < t->frame.n; i++)
		printf("%s\n", t->frame.lines[i].text);
	if (t->now == NULL)
		fprintf(stderr, "culvert top: %s\n", t->why);
	return t->rc;
}

/* ---- the command -----------------------------------------------------------
 */

static bool read_arguments(int argc, char **argv, bool *once_only,
			   uint64_t *every)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--once") == 0)
			*once_only = true;
		else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc &&
			 cli_number(argv[i + 1], every) && *every > 0 &&
			 *every <= EVERY_MAX)
			i++;
		else
			return false;
	}
	return true;
}

int cli_top(int argc, char **argv)
{
	bool once_only = false;
	uint64_t every = 2;
	struct config *cfg;
	const char *path;
	struct top *t;
	int rc = CLI_FAILED;

	if (cli_wants_help(argc, argv)) {
		fputs(help, stdout);
		return CLI_OK;
	}
	path = cli_take_config(&argc, argv);
	if (path == NULL || !read_arguments(argc, argv, &once_only, &every)) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	cfg = cli_config(path);
	t = mem_zalloc(sizeof(*t));
	if (cfg != NULL && t != NULL) {
		t->cfg = cfg;
		if (once_only || isatty(STDIN_FILENO) != 1 ||
		    isatty(STDOUT_FILENO) != 1)
			rc = once(t);
		else
			rc = live(t, (int)every * 1000);
		json_decref(t->now);
		json_decref(t->before);
	}
	mem_free(t);
	config_free(cfg);
	return rc;
}
