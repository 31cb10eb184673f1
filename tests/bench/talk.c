/* talk - small exchanges on associations, timed: echo, worklist query, opening
 * and releasing, or nothing at all.
 *
 *   echo  open, then C-ECHO after C-ECHO on it
 *   find  open, then one worklist C-FIND after the other
 *   open  open, one C-ECHO, release; again and again
 *   idle  open --hold associations, one C-ECHO on each, print the line, keep
 *         them until stdin ends, release
 *
 * One thread and one association each; one outstanding message. Times are from
 * the request's first byte to the final response's last; with open, of the
 * whole turn. */
#include "tests/bench/args.h"
#include "tests/bench/scu.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum mode { MODE_ECHO, MODE_FIND, MODE_OPEN, MODE_IDLE, MODE_N };

static const char *const mode_names[MODE_N] = {"echo", "find", "open", "idle"};

static struct {
	struct scu_options scu;
	const char *mode_name;
	enum mode mode;
	uint64_t associations, count, hold;
	double seconds, pause;
	struct wire_tls_options tls;
} opt = {
    .scu = {.host = "127.0.0.1",
	    .called = "CULVERT",
	    .calling = "LOADGEN",
	    .abstract = DCM_VERIFICATION,
	    .pdu = 131072},
    .mode_name = "echo",
    .associations = 1,
    .count = 1000000,
    .hold = 100,
    .seconds = 5,
    .tls = {.suites = "TLS_AES_256_GCM_SHA384", .groups = "X25519"},
};

struct talker {
	pthread_t thread;
	struct scu scu;
	struct scu *held; /* MODE_IDLE */
	size_t n_held;
	uint64_t done, begun, ended; /* monotonic ns */
	uint32_t *us;                /* one an exchange */
	size_t room;
};

static atomic_uint_fast64_t next_turn;
static atomic_bool stop;
static pthread_barrier_t start_line;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- exchanges --- */

static bool echo(struct scu *s, uint16_t message)
{
	uint8_t b[DCM_SMALL];
	struct dcm_command rsp;

	if (!wire_write(s->wire, b, dcm_echo_rq(b, message)))
		return scu_fail(s, "connection lost while sending");
	if (!scu_response(s, DCM_C_ECHO_RSP, &rsp))
		return false;
	return (rsp.status == 0 && rsp.answered == message) ||
	       scu_fail(s, "C-ECHO refused, or another one answered");
}

static bool find(struct scu *s, uint16_t message)
{
	uint8_t b[DCM_SMALL];
	struct dcm_command rsp;
	unsigned matches = 0;

	if (!wire_write(s->wire, b, dcm_find_rq(b, message)))
		return scu_fail(s, "connection lost while sending");
	do {
		if (!scu_response(s, DCM_C_FIND_RSP, &rsp))
			return false;
		matches += rsp.status == DCM_PENDING;
	} while (rsp.status == DCM_PENDING);
	return (rsp.status == 0 && matches == 1) ||
	       scu_fail(s, "C-FIND refused, or not one match");
}

static bool open_and_release(struct scu *s)
{
	bool ok = scu_open(s, &opt.scu) && echo(s, 1) && scu_release(s);

	scu_close(s);
	return ok;
}

static bool exchange(struct talker *t)
{
	uint16_t message = (uint16_t)(t->done % 65535 + 1);

	switch (opt.mode) {
	case MODE_ECHO:
		return echo(&t->scu, message);
	case MODE_FIND:
		return find(&t->scu, message);
	case MODE_OPEN:
		return open_and_release(&t->scu);
	case MODE_IDLE:
	case MODE_N:
		break;
	}
	return false;
}

static void note(struct talker *t, uint64_t begun, uint64_t ended)
{
	if (t->done == t->room) {
		t->room = t->room ? 2 * t->room : 4096;
		t->us = realloc(t->us, t->room * sizeof(*t->us));
		if (!t->us)
			abort();
	}
	t->us[t->done++] = (uint32_t)((ended - begun) / 1000);
	if (!t->begun)
		t->begun = begun;
	t->ended = ended;
}

static bool more(void)
{
	return !atomic_load(&stop) &&
	       atomic_fetch_add(&next_turn, 1) < opt.count;
}

static void *run_talker(void *arg)
{
	struct talker *t = arg;
	bool keeps = opt.mode != MODE_OPEN;
	bool ok = !keeps || scu_open(&t->scu, &opt.scu);

	pthread_barrier_wait(&start_line);
	while (ok && more()) {
		uint64_t begun = now_ns();

		ok = exchange(t);
		if (ok)
			note(t, begun, now_ns());
		if (ok && opt.pause > 0)
			usleep((useconds_t)(opt.pause * 1e6));
	}
	if (keeps && ok)
		(void)scu_release(&t->scu);
	scu_close(&t->scu);
	return NULL;
}

/* --- idle --- */

/* This thread's share of --hold. */
static void *run_holder(void *arg)
{
	struct talker *t = arg;

	while (atomic_fetch_add(&next_turn, 1) < opt.hold) {
		struct scu *s = &t->held[t->n_held++];
		uint64_t begun = now_ns();

		if (!scu_open(s, &opt.scu) || !echo(s, 1)) {
			(void)scu_fail(&t->scu, s->why);
			break;
		}
		note(t, begun, now_ns());
	}
	return NULL;
}

static void let_go(struct talker *t)
{
	for (size_t i = 0; i < t->n_held; i++) {
		if (!t->held[i].why[0])
			(void)scu_release(&t->held[i]);
		scu_close(&t->held[i]);
	}
	free(t->held);
}

/* --- the report --- */

static int by_value(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static void print_percentiles(const struct talker *t, size_t total)
{
	uint32_t *v = malloc((total + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		abort();
	for (unsigned i = 0; i < opt.associations; i++) {
		if (t[i].done > 0)
			memcpy(v + n, t[i].us, t[i].done * sizeof(*v));
		n += t[i].done;
	}
	qsort(v, n, sizeof(*v), by_value);
	printf(", \"us\": {\"p50\": %u, \"p99\": %u, \"max\": %u}",
	       n ? v[n / 2] : 0, n ? v[n - n / 100 - 1] : 0, n ? v[n - 1] : 0);
	free(v);
}

static void print_text(const char *name, const char *text)
{
	printf(", \"%s\": \"", name);
	for (; *text; text++)
		putchar(*text == '"' || *text == '\\' || *text < 32 ? '\''
								    : *text);
	putchar('"');
}

/* Returns the exit status: 0 when nothing failed. */
static int report(const struct talker *t)
{
	uint64_t done = 0, begun = UINT64_MAX, ended = 0;
	const char *why = "";
	double seconds;

	for (unsigned i = 0; i < opt.associations; i++) {
		done += t[i].done;
		if (t[i].begun && t[i].begun < begun)
			begun = t[i].begun;
		if (t[i].ended > ended)
			ended = t[i].ended;
		if (t[i].scu.why[0])
			why = t[i].scu.why;
	}
	seconds = done ? (double)(ended - begun) / 1e9 : 0;
	printf("{\"mode\": \"%s\", \"associations\": %llu, \"done\": %llu, "
	       "\"seconds\": %.6f, \"per_second\": %.2f",
	       opt.mode_name, (unsigned long long)opt.associations,
	       (unsigned long long)done, seconds,
	       done ? (double)done / seconds : 0);
	print_percentiles(t, done);
	print_text("error", why);
	printf("}\n");
	fflush(stdout);
	return done > 0 && !why[0] ? 0 : 1;
}

/* --- running --- */

static void *run_clock(void *arg)
{
	(void)arg;
	usleep((useconds_t)(opt.seconds * 1e6));
	atomic_store(&stop, true);
	return NULL;
}

static void start(struct talker *t)
{
	void *(*body)(void *) = opt.mode == MODE_IDLE ? run_holder : run_talker;

	for (unsigned i = 0; i < opt.associations; i++) {
		if (opt.mode == MODE_IDLE) {
			t[i].held = calloc(opt.hold, sizeof(*t[i].held));
			if (!t[i].held)
				abort();
		}
		if (pthread_create(&t[i].thread, NULL, body, &t[i]) != 0)
			abort();
	}
}

static int run(void)
{
	struct talker *t = calloc(opt.associations, sizeof(*t));
	pthread_t clock_thread;
	int rc;

	if (!t)
		abort();
	pthread_barrier_init(&start_line, NULL, (unsigned)opt.associations + 1);
	start(t);
	if (opt.mode != MODE_IDLE) {
		pthread_barrier_wait(&start_line);
		if (pthread_create(&clock_thread, NULL, run_clock, NULL) != 0)
			abort();
	}
	for (unsigned i = 0; i < opt.associations; i++)
		pthread_join(t[i].thread, NULL);
	rc = report(t);
	while (opt.mode == MODE_IDLE && getchar() != EOF)
		;
	for (unsigned i = 0; i < opt.associations; i++) {
		let_go(&t[i]);
		free(t[i].us);
	}
	free(t);
	return rc;
}

/* --- arguments --- */

static bool want_tls;

static const char intro[] =
    "usage: talk --port PORT --mode echo|find|open|idle [options]\n"
    "Small exchanges on associations; print one JSON object. Exit status 0\n"
    "when none failed. idle holds its associations until stdin ends.\n";

static const struct arg table[] = {
    {"host", ARG_TEXT, &opt.scu.host, "default 127.0.0.1"},
    {"port", ARG_TEXT, &opt.scu.port, ""},
    {"mode", ARG_TEXT, &opt.mode_name, "default echo"},
    {"called", ARG_TEXT, &opt.scu.called, "AE title, default CULVERT"},
    {"calling", ARG_TEXT, &opt.scu.calling, "AE title, default LOADGEN"},
    {"associations", ARG_NUMBER, &opt.associations, "threads, default 1"},
    {"count", ARG_NUMBER, &opt.count, "exchanges in all, default 1000000"},
    {"seconds", ARG_SECONDS, &opt.seconds, "stop after these, default 5"},
    {"pause", ARG_SECONDS, &opt.pause, "seconds between exchanges, default 0"},
    {"hold", ARG_NUMBER, &opt.hold, "idle: associations, default 100"},
    {"pdu", ARG_NUMBER, &opt.scu.pdu, "our maximum, both ways, default 128K"},
    {"tls", ARG_FLAG, &want_tls, "mutual TLS, with these three:"},
    {"cert", ARG_TEXT, &opt.tls.certificate, "PEM"},
    {"key", ARG_TEXT, &opt.tls.key, "PEM"},
    {"ca", ARG_TEXT, &opt.tls.ca, "PEM"},
    {"suites", ARG_TEXT, &opt.tls.suites, "default TLS_AES_256_GCM_SHA384"},
    {"groups", ARG_TEXT, &opt.tls.groups, "default X25519"},
    {NULL, ARG_FLAG, NULL, NULL},
};

static void check_options(void)
{
	while (opt.mode < MODE_N &&
	       strcmp(opt.mode_name, mode_names[opt.mode]) != 0)
		opt.mode++;
	if (opt.mode == MODE_N)
		args_refuse("--mode is echo, find, open or idle");
	if (opt.mode == MODE_FIND)
		opt.scu.abstract = DCM_WORKLIST;
	if (!opt.scu.port)
		args_refuse("--port is missing");
	if (opt.associations == 0 || opt.associations > 800)
		args_refuse("--associations must be 1 to 800");
	if (opt.hold > 20000 || opt.count == 0 || opt.scu.pdu < 4096)
		args_refuse("--hold, --count or --pdu makes no sense");
	if (want_tls && !(opt.tls.certificate && opt.tls.key && opt.tls.ca))
		args_refuse("--tls needs --cert, --key and --ca");
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	args_parse(argc, argv, intro, table);
	check_options();
	if (want_tls)
		opt.scu.tls = wire_tls_new(&opt.tls);
	return run();
}
