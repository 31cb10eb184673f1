/* loadgen - send instances made in memory by C-STORE and time every
 * acknowledgement.
 *
 * One thread and one association each; one outstanding C-STORE an association,
 * as devices do it. Instances differ in their UIDs and instance number; their
 * pixels come from one shared buffer, repeated for what is larger, so that
 * memory stays small at any size. */
#include "tests/bench/args.h"
#include "tests/bench/scu.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PIXELS = 4 << 20, /* the shared buffer */
	PARTS = 128,      /* P-DATA PDUs handed to the kernel at once */
};

static struct {
	struct scu_options scu;
	const char *prefix, *dump, *digests;
	uint64_t associations, per_study, first;
	uint64_t count; /* of all associations together */
	uint64_t size;  /* data set bytes */
	double seconds; /* 0: until count */
	uint64_t rate;  /* instances a second, all together; 0: no limit */
	struct wire_tls_options tls;
} opt = {
    .scu = {.host = "127.0.0.1",
	    .called = "CULVERT",
	    .calling = "LOADGEN",
	    .abstract = DCM_CT_STORAGE,
	    .pdu = 131072},
    .prefix = "1.2.826.0.1.3680043.10.1599.7.1",
    .associations = 1,
    .per_study = 200,
    .count = 1000,
    .size = 512 * 1024,
    .tls = {.suites = "TLS_AES_256_GCM_SHA384", .groups = "P-256"},
};

struct sender {
	pthread_t thread;
	unsigned number;
	struct scu scu;
	uint64_t sent, acknowledged, refused;
	uint64_t first_send, first_ack, last_ack; /* monotonic ns */
	uint32_t *latency, *wait;                 /* us, one an ack */
	size_t room;
	uint16_t bad_status;
};

static uint8_t *pixels;
static uint32_t pixel_bytes;
static atomic_uint_fast64_t next_instance, total_acks;
static atomic_bool stop;
static uint64_t begun_ns; /* when the senders were let go */
static pthread_barrier_t start_line;
static pthread_mutex_t digest_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *digest_file;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fill_pixels(void)
{
	uint64_t x = 88172645463325252u;

	pixels = malloc(PIXELS);
	if (!pixels)
		abort();
	for (size_t i = 0; i < PIXELS; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(pixels + i, &x, 8);
	}
}

/* --- one instance: the head, then pixels, in P-DATA PDUs --- */

struct parts {
	struct iovec v[2 * PARTS + 2];
	uint8_t headers[PARTS][12];
	size_t n, pdus;
};

static void add(struct parts *p, const void *b, size_t n)
{
	struct iovec *v = &p->v[p->n++];

	memcpy(&v->iov_base, &b, sizeof(b));
	v->iov_len = n;
}

/* The data set's bytes from at on: a run of at most n. */
static const uint8_t *slice(const struct dcm_head *h, uint64_t at, size_t *n)
{
	size_t from;

	if (at < h->n) {
		if (*n > h->n - at)
			*n = h->n - (size_t)at;
		return h->b + at;
	}
	from = (size_t)((at - h->n) % PIXELS);
	if (*n > PIXELS - from)
		*n = PIXELS - from;
	return pixels + from;
}

static bool flush_parts(struct sender *s, struct parts *p)
{
	bool ok = wire_writev(s->scu.wire, p->v, p->n);

	p->n = p->pdus = 0;
	return ok;
}

static void add_pdu(struct parts *p, const struct dcm_head *h, uint64_t at,
		    size_t n, bool last)
{
	uint8_t *header = p->headers[p->pdus++];

	dcm_pdata_header(header, (uint32_t)n, 1, false, last);
	add(p, header, 12);
	while (n > 0) {
		size_t part = n;
		const uint8_t *b = slice(h, at, &part);

		add(p, b, part);
		at += part;
		n -= part;
	}
}

static bool send_instance(struct sender *s, const struct dcm_head *h,
			  uint16_t message)
{
	uint8_t command[DCM_SMALL];
	size_t most = (s->scu.max_pdu - DCM_PDV_HEADER) & ~1u;
	struct parts p = {.n = 0};

	add(&p, command,
	    dcm_store_rq(command, message, DCM_CT_STORAGE, h->sop_instance));
	for (uint64_t at = 0; at < opt.size;) {
		uint64_t left = opt.size - at;
		size_t n = left < most ? (size_t)left : most;

		/* A PDU takes its header and at most three slices. */
		if ((p.pdus == PARTS || p.n + 4 > 2 * PARTS + 2) &&
		    !flush_parts(s, &p))
			return false;
		add_pdu(&p, h, at, n, at + n == opt.size);
		at += n;
	}
	return flush_parts(s, &p);
}

static void note_digest(const struct dcm_head *h)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1)
		abort();
	for (uint64_t at = 0; at < opt.size;) {
		size_t part = PIXELS;
		const uint8_t *b = slice(h, at, &part);

		if (part > opt.size - at)
			part = (size_t)(opt.size - at);
		EVP_DigestUpdate(c, b, part);
		at += part;
	}
	EVP_DigestFinal_ex(c, md, &n);
	EVP_MD_CTX_free(c);
	pthread_mutex_lock(&digest_lock);
	fprintf(digest_file, "%s ", h->sop_instance);
	for (unsigned i = 0; i < n; i++)
		fprintf(digest_file, "%02x", md[i]);
	fputc('\n', digest_file);
	pthread_mutex_unlock(&digest_lock);
}

/* --- sending --- */

static void note_latency(struct sender *s, uint64_t begun, uint64_t written,
			 uint64_t acked)
{
	if (s->acknowledged == s->room) {
		s->room = s->room ? 2 * s->room : 4096;
		s->latency = realloc(s->latency, s->room * sizeof(uint32_t));
		s->wait = realloc(s->wait, s->room * sizeof(uint32_t));
		if (!s->latency || !s->wait)
			abort();
	}
	s->latency[s->acknowledged] = (uint32_t)((acked - begun) / 1000);
	s->wait[s->acknowledged] = (uint32_t)((acked - written) / 1000);
	s->acknowledged++;
	atomic_fetch_add(&total_acks, 1);
	if (!s->first_ack)
		s->first_ack = acked;
	s->last_ack = acked;
}

static bool store_one(struct sender *s, uint64_t instance)
{
	struct dcm_command rsp;
	struct dcm_head h;
	uint16_t message = (uint16_t)(s->sent % 65535 + 1);
	uint64_t begun, written;

	dcm_head_make(&h, opt.prefix, s->number,
		      (uint32_t)(opt.first + instance), (uint32_t)opt.per_study,
		      pixel_bytes);
	if (digest_file)
		note_digest(&h);
	begun = now_ns();
	if (!s->first_send)
		s->first_send = begun;
	s->sent++;
	if (!send_instance(s, &h, message))
		return scu_fail(&s->scu, "connection lost while sending");
	written = now_ns();
	if (!scu_response(&s->scu, DCM_C_STORE_RSP, &rsp))
		return false;
	if (rsp.answered != message)
		return scu_fail(&s->scu, "response to another message");
	if (rsp.status != 0) {
		s->refused++;
		s->bad_status = rsp.status;
		return true;
	}
	note_latency(s, begun, written, now_ns());
	return true;
}

/* Until an instance is due. Who is late does not wait. */
static void await_turn(uint64_t instance)
{
	uint64_t due, now = now_ns();

	if (opt.rate == 0)
		return;
	due = begun_ns + instance * 1000000000u / opt.rate;
	if (due > now)
		usleep((useconds_t)((due - now) / 1000));
}

static void *run_sender(void *arg)
{
	struct sender *s = arg;
	bool ok = scu_open(&s->scu, &opt.scu);
	uint64_t i;

	pthread_barrier_wait(&start_line);
	while (ok && !atomic_load(&stop)) {
		i = atomic_fetch_add(&next_instance, 1);
		if (i >= opt.count)
			break;
		await_turn(i);
		ok = store_one(s, i);
	}
	if (ok)
		(void)scu_release(&s->scu);
	scu_close(&s->scu);
	return NULL;
}

/* --- the report --- */

static int by_value(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static void print_percentiles(const char *name, uint32_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf(", \"%s\": {\"p50\": %u, \"p95\": %u, \"p99\": %u, "
	       "\"max\": %u}",
	       name, n ? v[n / 2] : 0, n ? v[n - n / 20 - 1] : 0,
	       n ? v[n - n / 100 - 1] : 0, n ? v[n - 1] : 0);
}

static uint32_t *gather(const struct sender *s, bool wait, size_t total)
{
	uint32_t *all = malloc((total + 1) * sizeof(*all));
	size_t at = 0;

	if (!all)
		abort();
	for (unsigned i = 0; i < opt.associations; i++) {
		if (s[i].acknowledged == 0)
			continue;
		memcpy(all + at, wait ? s[i].wait : s[i].latency,
		       s[i].acknowledged * sizeof(*all));
		at += s[i].acknowledged;
	}
	return all;
}

static void print_text(const char *name, const char *text)
{
	printf(", \"%s\": \"", name);
	for (; *text; text++)
		putchar(*text == '"' || *text == '\\' || *text < 32 ? '\''
								    : *text);
	putchar('"');
}

static void print_latencies(const struct sender *s, size_t total)
{
	uint32_t *all = gather(s, false, total);

	print_percentiles("latency_us", all, total);
	free(all);
	all = gather(s, true, total);
	print_percentiles("wait_us", all, total);
	free(all);
}

/* Returns the exit status: 0 when everything sent was acknowledged. */
static int report(const struct sender *s)
{
	uint64_t sent = 0, acked = 0, refused = 0;
	uint64_t begun = UINT64_MAX, first = UINT64_MAX, last = 0;
	const char *why = "";
	unsigned status = 0;
	double seconds;

	for (unsigned i = 0; i < opt.associations; i++) {
		sent += s[i].sent;
		acked += s[i].acknowledged;
		refused += s[i].refused;
		if (s[i].first_send && s[i].first_send < begun)
			begun = s[i].first_send;
		if (s[i].first_ack && s[i].first_ack < first)
			first = s[i].first_ack;
		if (s[i].last_ack > last)
			last = s[i].last_ack;
		if (s[i].scu.why[0])
			why = s[i].scu.why;
		if (s[i].bad_status)
			status = s[i].bad_status;
	}
	seconds = acked ? (double)(last - begun) / 1e9 : 0;
	printf("{\"associations\": %llu, \"size\": %llu, \"sent\": %llu, "
	       "\"acknowledged\": %llu, \"refused\": %llu, \"status\": %u",
	       (unsigned long long)opt.associations,
	       (unsigned long long)opt.size, (unsigned long long)sent,
	       (unsigned long long)acked, (unsigned long long)refused, status);
	printf(", \"first_send_ns\": %llu, \"first_ack_ns\": %llu, "
	       "\"last_ack_ns\": %llu, \"seconds\": %.6f",
	       (unsigned long long)(acked ? begun : 0),
	       (unsigned long long)(acked ? first : 0),
	       (unsigned long long)last, seconds);
	printf(", \"per_second\": %.2f, \"mb_per_second\": %.2f",
	       acked ? (double)acked / seconds : 0,
	       acked ? (double)(acked * opt.size) / 1e6 / seconds : 0);
	print_latencies(s, acked);
	printf(", \"pdu\": %u", s[0].scu.max_pdu);
	print_text("stream", s[0].scu.info);
	print_text("error", why);
	printf("}\n");
	return acked == sent && acked > 0 && !why[0] ? 0 : 1;
}

/* --- arguments --- */

static bool want_tls, want_progress;

static const char intro[] =
    "usage: loadgen --port PORT [options]\n"
    "Send instances made in memory by C-STORE, print one JSON object. Exit\n"
    "status 0 when everything sent was acknowledged.\n";

static const struct arg table[] = {
    {"host", ARG_TEXT, &opt.scu.host, "default 127.0.0.1"},
    {"port", ARG_TEXT, &opt.scu.port, ""},
    {"called", ARG_TEXT, &opt.scu.called, "AE title, default CULVERT"},
    {"calling", ARG_TEXT, &opt.scu.calling, "AE title, default LOADGEN"},
    {"associations", ARG_NUMBER, &opt.associations, "threads, default 1"},
    {"count", ARG_NUMBER, &opt.count, "instances in all, default 1000"},
    {"seconds", ARG_SECONDS, &opt.seconds, "stop earlier, after these"},
    {"rate", ARG_NUMBER, &opt.rate, "a second in all, default: no limit"},
    {"size", ARG_NUMBER, &opt.size, "bytes of a data set, default 512K"},
    {"prefix", ARG_TEXT, &opt.prefix, "of every UID, <= 40 characters"},
    {"first", ARG_NUMBER, &opt.first, "number of the first, default 0"},
    {"per-study", ARG_NUMBER, &opt.per_study, "default 200"},
    {"pdu", ARG_NUMBER, &opt.scu.pdu, "our maximum, both ways, default 128K"},
    {"progress", ARG_FLAG, &want_progress, "a line a second on stderr"},
    {"digests", ARG_TEXT, &opt.digests, "file for 'UID SHA-256' lines"},
    {"dump", ARG_TEXT, &opt.dump, "write Part 10 files there, send nothing"},
    {"tls", ARG_FLAG, &want_tls, "mutual TLS, with these three:"},
    {"cert", ARG_TEXT, &opt.tls.certificate, "PEM"},
    {"key", ARG_TEXT, &opt.tls.key, "PEM"},
    {"ca", ARG_TEXT, &opt.tls.ca, "PEM"},
    {"suites", ARG_TEXT, &opt.tls.suites, "default TLS_AES_256_GCM_SHA384"},
    {"groups", ARG_TEXT, &opt.tls.groups, "default P-256"},
    {"tls12", ARG_TEXT, &opt.tls.tls12, "allow TLS 1.2 with these ciphers"},
    {NULL, ARG_FLAG, NULL, NULL},
};

static void check_options(void)
{
	struct dcm_head h;

	dcm_head_make(&h, opt.prefix, 0, 0, 1, 0);
	if (opt.size < h.n + 2 || opt.size % 2 || opt.size - h.n > 0xfffffffeu)
		args_refuse("--size must be even, 1K to 4G");
	pixel_bytes = (uint32_t)(opt.size - h.n);
	if (!opt.scu.port && !opt.dump)
		args_refuse("--port is missing");
	if (opt.associations == 0 || opt.associations > 800)
		args_refuse("--associations must be 1 to 800");
	if (opt.per_study == 0 || opt.scu.pdu < 4096 || opt.scu.pdu > 1 << 30)
		args_refuse("--per-study or --pdu makes no sense");
	if (opt.first + opt.count > 8000000)
		args_refuse("instance numbers end at 8000000");
	if (want_tls && !(opt.tls.certificate && opt.tls.key && opt.tls.ca))
		args_refuse("--tls needs --cert, --key and --ca");
}

static void dump_one(uint32_t instance)
{
	uint8_t meta[DCM_SMALL];
	struct dcm_head h;
	char name[4096];
	size_t n;
	FILE *f;

	dcm_head_make(&h, opt.prefix, 0, (uint32_t)opt.first + instance,
		      (uint32_t)opt.per_study, pixel_bytes);
	snprintf(name, sizeof(name), "%s/%07u.dcm", opt.dump, instance);
	f = fopen(name, "wb");
	if (!f) {
		perror(name);
		exit(1);
	}
	n = dcm_file_meta(meta, &h);
	fwrite(meta, 1, n, f);
	for (uint64_t at = 0; at < opt.size;) {
		size_t part = PIXELS;
		const uint8_t *b = slice(&h, at, &part);

		if (part > opt.size - at)
			part = (size_t)(opt.size - at);
		fwrite(b, 1, part, f);
		at += part;
	}
	if (fclose(f) != 0) {
		perror(name);
		exit(1);
	}
}

static int dump(void)
{
	if (mkdir(opt.dump, 0777) != 0 && errno != EEXIST) {
		perror(opt.dump);
		return 1;
	}
	for (uint32_t i = 0; i < opt.count; i++)
		dump_one(i);
	return 0;
}

/* Watches the clock while the senders work. */
static void *run_clock(void *arg)
{
	uint64_t begun = now_ns(), tick = begun, before = 0;

	(void)arg;
	for (;;) {
		uint64_t t, n;

		usleep(10000);
		t = now_ns();
		if (opt.seconds > 0 && (double)(t - begun) > opt.seconds * 1e9)
			atomic_store(&stop, true);
		if (!want_progress || t - tick < 1000000000u)
			continue;
		n = atomic_load(&total_acks);
		fprintf(stderr, "    %llu acknowledged, %llu a second\n",
			(unsigned long long)n,
			(unsigned long long)(n - before));
		before = n;
		tick = t;
	}
	return NULL;
}

static int run(void)
{
	struct sender *s = calloc(opt.associations, sizeof(*s));
	pthread_t clock_thread;
	int rc;

	if (!s)
		abort();
	pthread_barrier_init(&start_line, NULL, (unsigned)opt.associations + 1);
	for (unsigned i = 0; i < opt.associations; i++) {
		s[i].number = i;
		if (pthread_create(&s[i].thread, NULL, run_sender, &s[i]) != 0)
			abort();
	}
	begun_ns = now_ns();
	pthread_barrier_wait(&start_line);
	if (pthread_create(&clock_thread, NULL, run_clock, NULL) != 0)
		abort();
	for (unsigned i = 0; i < opt.associations; i++)
		pthread_join(s[i].thread, NULL);
	rc = report(s);
	for (unsigned i = 0; i < opt.associations; i++) {
		free(s[i].latency);
		free(s[i].wait);
	}
	free(s);
	return rc;
}

int main(int argc, char **argv)
{
	int rc;

	signal(SIGPIPE, SIG_IGN);
	args_parse(argc, argv, intro, table);
	check_options();
	fill_pixels();
	if (opt.dump)
		return dump();
	if (opt.digests && !(digest_file = fopen(opt.digests, "w"))) {
		perror(opt.digests);
		return 1;
	}
	if (want_tls)
		opt.scu.tls = wire_tls_new(&opt.tls);
	rc = run();
	if (digest_file && fclose(digest_file) != 0)
		rc = 1;
	return rc;
}
