/* line - a slow, long line between the bench's processes: a TCP forwarder.
 *
 * line_queue is the line itself, line_fault what goes wrong on it, line_conn
 * the connections; this is the command line, and what is said on stdin. See
 * --help for what this is not. */
#include "tests/bench/args.h"
#include "tests/bench/line_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FIXED = 1 + LINE_PORTS, /* stdin, and who may connect */
	WATCHED = FIXED + LINE_WAYS * LINE_CONNECTIONS,
};

static struct {
	const char *host, *listen, *also;
	const char *cut_at, *cut_way, *hole, *flip_way;
	uint64_t port, to, queue, mtu, buffer;
	uint64_t cut_every, cuts, flip_every, seed;
	double mbit, down_mbit, delay;
} opt = {
    .host = "127.0.0.1",
    .listen = "127.0.0.1",
    .cut_way = "up",
    .flip_way = "up",
    .queue = 64 * 1024,
    .mtu = 1500,
    .buffer = 128 * 1024,
    .mbit = 80,
    .delay = 0.01,
    .seed = 1,
};

static struct line line;
static volatile sig_atomic_t want_stat, want_end;

/* --- numbers --- */

static void print_way(const char *name, const struct line_queue *q)
{
	const struct line_stat *s = &q->stat;

	printf(", \"%s_stat\": {\"bytes\": %llu, \"delivered\": %llu, "
	       "\"lost\": %llu, \"first_ns\": %llu, \"last_ns\": %llu, "
	       "\"busy\": %.5f, \"most_queued\": %llu, \"inside\": %zu}",
	       name, (unsigned long long)s->bytes,
	       (unsigned long long)s->delivered, (unsigned long long)s->lost,
	       (unsigned long long)s->first, (unsigned long long)s->last,
	       line_queue_share(q), (unsigned long long)s->most_queued,
	       line_queue_inside(q));
}

static void print_cuts(void)
{
	printf(", \"cuts\": %llu, \"cut\": [", (unsigned long long)line.n_cuts);
	for (uint64_t i = 0; i < line.n_cuts && i < LINE_CUTS; i++) {
		const struct line_cut *c = &line.cuts[i];

		printf("%s{\"ns\": %llu, \"connections\": %llu, "
		       "\"up\": %llu, \"down\": %llu, \"up_queued\": %llu, "
		       "\"down_queued\": %llu, \"up_due\": %llu, "
		       "\"down_due\": %llu}",
		       i ? ", " : "", (unsigned long long)c->at,
		       (unsigned long long)c->connections,
		       (unsigned long long)c->inside[LINE_UP],
		       (unsigned long long)c->inside[LINE_DOWN],
		       (unsigned long long)c->waiting[LINE_UP],
		       (unsigned long long)c->waiting[LINE_DOWN],
		       (unsigned long long)c->due[LINE_UP],
		       (unsigned long long)c->due[LINE_DOWN]);
	}
	printf("]");
}

static void print_stat(void)
{
	const struct line_queue *q = line.queues;

	printf("{\"up\": %llu, \"down\": %llu, \"most_queued_up\": %llu, "
	       "\"most_queued_down\": %llu, \"ns\": %llu",
	       (unsigned long long)q[LINE_UP].stat.bytes,
	       (unsigned long long)q[LINE_DOWN].stat.bytes,
	       (unsigned long long)q[LINE_UP].stat.most_queued,
	       (unsigned long long)q[LINE_DOWN].stat.most_queued,
	       (unsigned long long)line_now());
	print_way("up", &q[LINE_UP]);
	print_way("down", &q[LINE_DOWN]);
	printf(", \"accepted\": %llu, \"flips\": %llu, \"still\": %s",
	       (unsigned long long)line.accepted,
	       (unsigned long long)line.faults.flips,
	       line.still ? "true" : "false");
	print_cuts();
	printf("}\n");
	fflush(stdout);
}

/* --- what is said on stdin --- */

static void reset(void)
{
	for (unsigned w = 0; w < LINE_WAYS; w++)
		line_queue_reset(&line.queues[w]);
	line_faults_restart(&line.faults);
	line.n_cuts = line.accepted = 0;
}

static bool obey(const char *text)
{
	double x;

	if (strcmp(text, "stat") == 0)
		return true;
	if (strcmp(text, "reset") == 0)
		reset();
	else if (strcmp(text, "cut") == 0)
		line_cut_all(&line, line_now());
	else if (sscanf(text, "hole %lf", &x) == 1 && x > 0)
		line_faults_hole(&line.faults, x, line_now());
	else if (sscanf(text, "mbit %lf", &x) == 1 && x > 0)
		for (unsigned w = 0; w < LINE_WAYS; w++)
			line_queue_rate(&line.queues[w], x);
	else if (sscanf(text, "cut-every %lf", &x) == 1 && x >= 0)
		line.faults.cut_every = (uint64_t)x;
	else
		return false;
	return true;
}

/* Lines on stdin; false at its end. A line that is too long is none. */
static bool commands(void)
{
	static char text[128];
	static size_t n;
	char b[256];
	ssize_t got = read(STDIN_FILENO, b, sizeof(b));

	for (ssize_t i = 0; i < got; i++) {
		if (b[i] != '\n') {
			text[n] = b[i];
			n += n + 1 < sizeof(text);
			continue;
		}
		text[n] = 0;
		n = 0;
		if (obey(text))
			print_stat();
		else
			printf("{\"error\": \"not understood\"}\n");
		fflush(stdout);
	}
	return got > 0 || (got < 0 && errno == EINTR);
}

/* --- the loop --- */

static void on_signal(int number)
{
	if (number == SIGUSR1)
		want_stat = 1;
	else
		want_end = 1;
}

static void wait_for(struct pollfd *f, nfds_t n, const sigset_t *open)
{
	uint64_t at = line_next(&line), now = line_now();
	struct timespec t = {0};

	if (at != UINT64_MAX && at > now) {
		t.tv_sec = (time_t)((at - now) / 1000000000u);
		t.tv_nsec = (long)((at - now) % 1000000000u);
	}
	if (ppoll(f, n, at == UINT64_MAX ? NULL : &t, open) < 0)
		for (nfds_t i = 0; i < n; i++)
			f[i].revents = 0;
}

static void answer(const struct pollfd *f, bool *stdin_open)
{
	for (size_t i = 0; i < line.n_ports; i++)
		if (f[1 + i].revents & POLLIN)
			line_accept(&line, &line.ports[i]);
	if (f[0].revents != 0)
		*stdin_open = commands();
	if (want_stat) {
		want_stat = 0;
		print_stat();
	}
}

static void work(const sigset_t *open)
{
	static struct pollfd f[WATCHED];
	nfds_t fixed = 1 + line.n_ports;
	bool stdin_open = true;

	for (size_t i = 0; i < line.n_ports; i++)
		f[1 + i] = (struct pollfd){line.ports[i].listener, POLLIN, 0};
	while (!want_end) {
		f[0] =
		    (struct pollfd){stdin_open ? STDIN_FILENO : -1, POLLIN, 0};
		wait_for(f, fixed + line_watch(&line, f + fixed), open);
		line_move(&line, line_now());
		answer(f, &stdin_open);
	}
}

/* --- the command line --- */

static const char intro[] =
    "usage: line --port PORT --to PORT [options]\n"
    "Forward TCP from --listen:PORT to --host, slowly. Lines on stdin (which\n"
    "may be a FIFO) change things; each is answered with a line of JSON:\n"
    "bytes each way, first and last byte, how full the line was between them\n"
    "(busy), what each cut found on the line. So are SIGUSR1 and, as the last\n"
    "thing, SIGTERM.\n"
    "  stat          the numbers\n"
    "  reset         count bytes, faults and their times from here\n"
    "  mbit RATE     another rate, both ways, for what enters from now on\n"
    "  cut           reset all connections (RST), lose what is on the line\n"
    "  cut-every N   as the option; 0 ends it\n"
    "  hole SECONDS  stand still\n"
    "\n"
    "Both directions have rate, delay and queue for themselves; in each, all\n"
    "connections share one FIFO. The times of faults count from the first "
    "byte.\n"
    "\n"
    "What it cannot model: loss and reordering, and all that follows from\n"
    "them (retransmission, congestion control, who gets how much of the line:\n"
    "here all who wait take turns); TCP's own round trips (handshake, slow\n"
    "start, the growth of its window: either end talks to a kernel that is\n"
    "near, so a new connection is at full rate at once); headers of lower\n"
    "layers; jitter. A full queue makes senders wait, where a real one drops.\n"
    "What waits for the queue stands in the kernel's buffers of its own\n"
    "connection and delays no other. In a hole nothing moves, but connections\n"
    "are still accepted, and afterwards old ones go on at once, where TCP\n"
    "would wait for its timer: for the real thing see blackhole.py. Flipped\n"
    "bits reach the peer only on connections without TLS, which ends one that\n"
    "was changed. The time of a piece is right to the kernel's wake-up: root\n"
    "has real-time priority, so some 50 us; else it depends on the load.\n";

static const struct arg table[] = {
    {"port", ARG_NUMBER, &opt.port, ""},
    {"to", ARG_NUMBER, &opt.to, "port to forward to"},
    {"host", ARG_TEXT, &opt.host, "IPv4 address of it, default 127.0.0.1"},
    {"also", ARG_TEXT, &opt.also, "more of these: PORT-TO,PORT-TO,..."},
    {"listen", ARG_TEXT, &opt.listen, "IPv4 address, default 127.0.0.1"},
    {"mbit", ARG_SECONDS, &opt.mbit, "10^6 bits a second, default 80"},
    {"down-mbit", ARG_SECONDS, &opt.down_mbit, "of the way back, if other"},
    {"delay", ARG_SECONDS, &opt.delay, "seconds one way, default 0.01"},
    {"queue", ARG_NUMBER, &opt.queue, "bytes before the line, default 64K"},
    {"mtu", ARG_NUMBER, &opt.mtu, "bytes of a piece, default 1500, to 64K"},
    {"buffer", ARG_NUMBER, &opt.buffer, "of sockets, default 128K; 0: any"},
    {"cut-every", ARG_NUMBER, &opt.cut_every, "cut after so many bytes"},
    {"cut-way", ARG_TEXT, &opt.cut_way, "counted: up (default), down, both"},
    {"cut-at", ARG_TEXT, &opt.cut_at, "cut after seconds: 1.5,7,20"},
    {"cuts", ARG_NUMBER, &opt.cuts, "no more cuts than these, default any"},
    {"hole", ARG_TEXT, &opt.hole, "stand still, seconds: 10-70,90-95"},
    {"flip-every", ARG_NUMBER, &opt.flip_every, "a bit in so many bytes"},
    {"flip-way", ARG_TEXT, &opt.flip_way, "up (default), down or both"},
    {"seed", ARG_NUMBER, &opt.seed, "of the bits that flip, default 1"},
    {NULL, ARG_FLAG, NULL, NULL},
};

static void set_faults(void)
{
	struct line_faults *f = &line.faults;

	f->cut_every = opt.cut_every;
	f->cuts_most = opt.cuts;
	f->flip_every = opt.flip_every;
	f->seed = opt.seed;
	if (!line_ways_parse(opt.cut_way, f->cut_ways) ||
	    !line_ways_parse(opt.flip_way, f->flip_ways))
		args_refuse("--cut-way and --flip-way: up, down or both");
	if (opt.cut_at &&
	    !line_times_parse(opt.cut_at, false, f->cut_at, &f->n_cut_at))
		args_refuse("--cut-at is seconds, ascending, with commas");
	if (opt.hole &&
	    !line_times_parse(opt.hole, true, f->holes, &f->n_holes))
		args_refuse("--hole is from-to, ascending, with commas");
	line_faults_start(f);
}

static void set_queues(void)
{
	if (opt.down_mbit == 0)
		opt.down_mbit = opt.mbit;
	if (opt.mtu == 0 || opt.mtu > LINE_PIECE_MAX || opt.queue < opt.mtu)
		args_refuse("--mtu is 1 to 64K, --queue not less");
	if (!(opt.mbit > 0) || !(opt.down_mbit > 0) || !(opt.delay >= 0))
		args_refuse("--mbit or --delay makes no sense");
	for (unsigned w = 0; w < LINE_WAYS; w++) {
		line.queues[w].mbit = w == LINE_UP ? opt.mbit : opt.down_mbit;
		line.queues[w].delay = (uint64_t)(opt.delay * 1e9);
		line.queues[w].limit = (size_t)opt.queue;
		line.queues[w].mtu = (size_t)opt.mtu;
	}
}

static void add_port(uint64_t port, uint64_t to)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	const struct sockaddr *sa = (const void *)&a;
	struct line_port *p = &line.ports[line.n_ports++];
	int one = 1;

	if (port == 0 || port > 65535 || to == 0 || to > 65535)
		args_refuse("--port or --to is missing, or makes no sense");
	p->to = a;
	if (inet_pton(AF_INET, opt.host, &p->to.sin_addr) != 1 ||
	    inet_pton(AF_INET, opt.listen, &a.sin_addr) != 1)
		args_refuse("--host and --listen are IPv4 addresses");
	p->to.sin_port = htons((uint16_t)to);
	a.sin_port = htons((uint16_t)port);
	p->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(p->listener, sa, sizeof(a)) != 0 ||
	    listen(p->listener, 512) != 0) {
		perror("line: listen");
		exit(1);
	}
}

static void set_sockets(void)
{
	const char *s = opt.also;
	unsigned port, to;
	int n;

	if (opt.buffer > 1 << 30)
		args_refuse("--buffer makes no sense");
	line.buffer = (int)opt.buffer;
	add_port(opt.port, opt.to);
	for (; s && *s; s += n + (s[n] == ',')) {
		n = 0;
		if (sscanf(s, "%u-%u%n", &port, &to, &n) != 2 || n == 0 ||
		    (s[n] != ',' && s[n] != 0) || line.n_ports == LINE_PORTS)
			args_refuse("--also is PORT-TO,PORT-TO,...");
		add_port(port, to);
	}
}

/* Signals come only while it waits, so that none is missed. */
static void set_signals(sigset_t *open)
{
	const int numbers[] = {SIGUSR1, SIGTERM, SIGINT};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, open);
	signal(SIGPIPE, SIG_IGN);
}

/* A line does not wait for a processor. It sleeps often enough to leave the
 * others theirs; where this is not allowed it does without. */
static void go_first(void)
{
	struct sched_param p = {.sched_priority = 1};

	(void)sched_setscheduler(0, SCHED_FIFO, &p);
	prctl(PR_SET_TIMERSLACK, 1000);
}

int main(int argc, char **argv)
{
	sigset_t open;

	args_parse(argc, argv, intro, table);
	set_queues();
	set_faults();
	set_sockets();
	set_signals(&open);
	go_first();
	work(&open);
	print_stat();
	return 0;
}
