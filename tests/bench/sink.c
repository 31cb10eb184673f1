/* sink - the archive of the bench: takes every C-STORE, keeps nothing, counts;
 * answers C-ECHO, and C-FIND with one match.
 *
 * A thread an association. Only instances whose SOP Instance UID begins with
 * the marked prefix count, each once however often it is sent, so that late
 * repeats of an earlier run cannot pass for this one's.
 *
 * Commands on stdin, one a line; each answers with one JSON line:
 *   mark PREFIX         forget all, count instances under PREFIX from now on
 *   wait COUNT SECONDS  until COUNT distinct instances came, or time is up
 *   stat                what came so far
 * SIGTERM, or the number of --count: a last JSON line, and the end. */
#include "tests/bench/args.h"
#include "tests/bench/dcm.h"
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	AC_CAP = 1 << 17,
	COMMAND_CAP = 16384,
};

/* --- what has arrived --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived; /* on the monotonic clock */

static struct {
	char prefix[65];
	uint64_t instances, distinct, foreign, bytes;
	uint64_t first_ns, last_ns;
	uint64_t associations, open, most_open, failed;
	char stream[128], why[256];
	uint64_t *seen; /* hashes of UIDs, 0 = free; size a power of two */
	size_t size;
} tally;

static struct {
	uint64_t port, pdu, count;
	bool tls;
	const char *digests, *listen;
	struct wire_tls_options o;
} opt = {
    .listen = "127.0.0.1",
    .pdu = 131072,
    .o = {.server = true,
	  .suites = "TLS_AES_256_GCM_SHA384",
	  .groups = "P-256"},
};

static const struct wire_tls *tls;
static FILE *digest_file;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t hash_uid(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	h ^= h >> 29;
	return h ? h : 1;
}

/* True when h was not in the table. The table has room. */
static bool insert(uint64_t *table, size_t size, uint64_t h)
{
	size_t i = h & (size - 1);

	while (table[i] != 0) {
		if (table[i] == h)
			return false;
		i = (i + 1) & (size - 1);
	}
	table[i] = h;
	return true;
}

static void grow(void)
{
	size_t size = tally.size ? 2 * tally.size : 1 << 16;
	uint64_t *table = calloc(size, sizeof(*table));

	if (!table)
		abort();
	for (size_t i = 0; i < tally.size; i++)
		if (tally.seen[i])
			insert(table, size, tally.seen[i]);
	free(tally.seen);
	tally.seen = table;
	tally.size = size;
}

static void print_text(const char *name, const char *text)
{
	printf(", \"%s\": \"", name);
	for (; *text; text++)
		putchar(*text == '"' || *text == '\\' || *text < 32 ? '\''
								    : *text);
	putchar('"');
}

/* With the lock held. */
static void print_tally(bool timeout)
{
	double seconds = (double)(tally.last_ns - tally.first_ns) / 1e9;

	printf(
	    "{\"instances\": %llu, \"distinct\": %llu, \"foreign\": %llu, "
	    "\"bytes\": %llu, \"first_ns\": %llu, \"last_ns\": %llu, "
	    "\"seconds\": %.6f, \"associations\": %llu, \"open\": %llu, "
	    "\"most_open\": %llu, \"failed\": %llu, \"timeout\": %s",
	    (unsigned long long)tally.instances,
	    (unsigned long long)tally.distinct,
	    (unsigned long long)tally.foreign, (unsigned long long)tally.bytes,
	    (unsigned long long)tally.first_ns,
	    (unsigned long long)tally.last_ns, seconds,
	    (unsigned long long)tally.associations,
	    (unsigned long long)tally.open, (unsigned long long)tally.most_open,
	    (unsigned long long)tally.failed, timeout ? "true" : "false");
	print_text("stream", tally.stream);
	print_text("error", tally.why);
	printf("}\n");
	fflush(stdout);
}

static void finish(void)
{
	print_tally(false);
	if (digest_file)
		fflush(digest_file);
	_exit(0);
}

/* An instance is complete: begun is when its first byte was read. */
static void note_instance(const char *uid, uint64_t bytes, uint64_t begun)
{
	uint64_t t = now_ns();

	pthread_mutex_lock(&lock);
	if (strncmp(uid, tally.prefix, strlen(tally.prefix)) != 0) {
		tally.foreign++;
	} else {
		if (2 * tally.distinct >= tally.size)
			grow();
		tally.instances++;
		tally.bytes += bytes;
		if (!tally.first_ns || begun < tally.first_ns)
			tally.first_ns = begun;
		if (insert(tally.seen, tally.size, hash_uid(uid))) {
			tally.distinct++;
			tally.last_ns = t;
		}
		pthread_cond_broadcast(&arrived);
		if (opt.count && tally.distinct == opt.count)
			kill(getpid(), SIGTERM);
	}
	pthread_mutex_unlock(&lock);
}

static void note_open(const char *stream)
{
	pthread_mutex_lock(&lock);
	tally.associations++;
	if (++tally.open > tally.most_open)
		tally.most_open = tally.open;
	snprintf(tally.stream, sizeof(tally.stream), "%s", stream);
	pthread_mutex_unlock(&lock);
}

static void note_closed(const char *why)
{
	pthread_mutex_lock(&lock);
	tally.open--;
	if (why) {
		tally.failed++;
		snprintf(tally.why, sizeof(tally.why), "%s", why);
	}
	pthread_mutex_unlock(&lock);
}

static void note_failed_handshake(const char *why)
{
	pthread_mutex_lock(&lock);
	tally.failed++;
	snprintf(tally.why, sizeof(tally.why), "%s", why);
	pthread_mutex_unlock(&lock);
}

/* --- one association --- */

struct peer {
	struct wire *wire;
	uint8_t command[COMMAND_CAP];
	size_t command_len;
	struct dcm_command rq; /* whose data set is coming */
	bool in_data;
	uint8_t context;
	uint64_t bytes, begun;
	EVP_MD_CTX *digest; /* NULL unless --digests */
};

static const char *accept_association(struct peer *p)
{
	uint8_t h[DCM_PDU_HEADER], *rq = NULL, *ac = NULL;
	const char *why = "cannot take the A-ASSOCIATE-RQ";
	size_t n;

	if (!wire_read(p->wire, h, sizeof(h)))
		return "closed before A-ASSOCIATE-RQ";
	n = dcm_be32(h + 2);
	if (h[0] != DCM_RQ || n > DCM_MAX_BODY)
		return "no A-ASSOCIATE-RQ";
	rq = malloc(n + 1);
	ac = malloc(AC_CAP);
	if (!rq || !ac)
		abort();
	if (wire_read(p->wire, rq, n)) {
		n = dcm_accept_all(rq, n, (uint32_t)opt.pdu, ac, AC_CAP);
		if (n > 0 && wire_write(p->wire, ac, n))
			why = NULL;
	}
	free(rq);
	free(ac);
	return why;
}

static const char *respond(struct peer *p, uint16_t status)
{
	uint8_t b[DCM_SMALL];
	size_t n = dcm_response(b, p->context, &p->rq, status);

	return wire_write(p->wire, b, n) ? NULL : "cannot send a response";
}

static void write_digest(struct peer *p)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_DigestFinal_ex(p->digest, md, &n);
	pthread_mutex_lock(&lock);
	fprintf(digest_file, "%s ", p->rq.sop_instance);
	for (unsigned i = 0; i < n; i++)
		fprintf(digest_file, "%02x", md[i]);
	fputc('\n', digest_file);
	fflush(digest_file);
	pthread_mutex_unlock(&lock);
}

static const char *end_command(struct peer *p)
{
	if (!dcm_command_decode(p->command, p->command_len, &p->rq))
		return "broken command set";
	p->command_len = 0;
	if (p->rq.data_set == DCM_NO_DATA_SET)
		return respond(p, p->rq.field == DCM_C_ECHO_RQ ? 0 : 0x0211);
	if (p->rq.field != DCM_C_STORE_RQ && p->rq.field != DCM_C_FIND_RQ)
		return "a data set with neither C-STORE nor C-FIND";
	p->in_data = true;
	p->bytes = 0;
	p->begun = now_ns();
	if (p->digest && p->rq.field == DCM_C_STORE_RQ)
		EVP_DigestInit_ex(p->digest, EVP_sha256(), NULL);
	return NULL;
}

/* One match and the end, in one piece. */
static const char *answer_find(struct peer *p)
{
	uint8_t b[2 * DCM_SMALL];
	size_t n = dcm_find_match(b, p->context, &p->rq);

	n += dcm_response(b + n, p->context, &p->rq, 0);
	return wire_write(p->wire, b, n) ? NULL : "cannot send a response";
}

static const char *end_data(struct peer *p)
{
	p->in_data = false;
	if (p->rq.field == DCM_C_FIND_RQ)
		return answer_find(p);
	if (p->digest)
		write_digest(p);
	note_instance(p->rq.sop_instance, p->bytes, p->begun);
	return respond(p, 0);
}

static const char *read_data(struct peer *p, size_t n)
{
	p->bytes += n;
	while (n > 0) {
		size_t have;
		const uint8_t *b = wire_peek(p->wire, &have);

		if (!b)
			return "closed inside a data set";
		if (have > n)
			have = n;
		if (p->digest && p->rq.field == DCM_C_STORE_RQ)
			EVP_DigestUpdate(p->digest, b, have);
		wire_take(p->wire, have);
		n -= have;
	}
	return NULL;
}

static const char *read_pdv(struct peer *p, uint32_t *left)
{
	uint8_t h[DCM_PDV_HEADER];
	const char *why;
	size_t n;

	if (*left < sizeof(h) || !wire_read(p->wire, h, sizeof(h)))
		return "cut PDV";
	n = dcm_be32(h);
	if (n < 2 || n > *left - 4)
		return "PDV longer than its PDU";
	*left -= 4 + (uint32_t)n;
	n -= 2;
	p->context = h[4];
	if (h[5] & 1) {
		if (p->in_data || n > COMMAND_CAP - p->command_len)
			return "unexpected command fragment";
		if (!wire_read(p->wire, p->command + p->command_len, n))
			return "cut command";
		p->command_len += n;
		return h[5] & 2 ? end_command(p) : NULL;
	}
	if (!p->in_data)
		return "unexpected data set fragment";
	why = read_data(p, n);
	if (why || !(h[5] & 2))
		return why;
	return end_data(p);
}

/* One PDU. *done: the association ended as it should. */
static const char *read_pdu(struct peer *p, bool *done)
{
	static const uint8_t rp[10] = {DCM_RELEASE_RP, 0, 0, 0, 0, 4};
	uint8_t h[DCM_PDU_HEADER], body[4];
	uint32_t left;
	const char *why = NULL;

	if (!wire_read(p->wire, h, sizeof(h)))
		return "closed without release";
	left = dcm_be32(h + 2);
	if (h[0] == DCM_PDATA) {
		if (left > opt.pdu)
			return "PDU longer than our maximum";
		while (!why && left > 0)
			why = read_pdv(p, &left);
		return why;
	}
	*done = true;
	if (h[0] == DCM_RELEASE_RQ && left == 4 &&
	    wire_read(p->wire, body, 4) && wire_write(p->wire, rp, sizeof(rp)))
		return NULL;
	return h[0] == DCM_ABORT ? "aborted" : "unexpected PDU";
}

static void *run_peer(void *arg)
{
	struct peer *p = calloc(1, sizeof(*p));
	int fd = *(int *)arg;
	bool done = false;
	char text[256];
	const char *why;

	free(arg);
	if (!p)
		abort();
	p->wire = wire_accept(fd, tls, text);
	if (!p->wire) {
		note_failed_handshake(text);
		free(p);
		return NULL;
	}
	if (digest_file)
		p->digest = EVP_MD_CTX_new();
	note_open(wire_info(p->wire));
	why = accept_association(p);
	while (!why && !done)
		why = read_pdu(p, &done);
	note_closed(why);
	wire_close(p->wire);
	EVP_MD_CTX_free(p->digest);
	free(p);
	return NULL;
}

/* --- listening and commands --- */

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET,
	    .sin_port = htons(port),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr *sa = (void *)&a;

	if (inet_pton(AF_INET, opt.listen, &a.sin_addr) != 1)
		args_refuse("--listen is an IPv4 address");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, sa, sizeof(a)) != 0 || listen(fd, 4096) != 0) {
		perror("sink: listen");
		exit(1);
	}
	return fd;
}

static void *run_acceptor(void *arg)
{
	int listener = *(int *)arg;

	for (;;) {
		pthread_t t;
		int *fd = malloc(sizeof(*fd));

		if (!fd)
			abort();
		*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (*fd < 0) {
			free(fd);
			usleep(1000);
		} else if (pthread_create(&t, NULL, run_peer, fd) != 0) {
			close(*fd);
			free(fd);
		} else {
			pthread_detach(t);
		}
	}
	return NULL;
}

static void *run_signals(void *arg)
{
	int which;

	sigwait(arg, &which);
	if (opt.count)
		usleep(200000); /* the last one's response goes out first */
	pthread_mutex_lock(&lock);
	finish();
	return NULL;
}

static void mark(const char *prefix)
{
	pthread_mutex_lock(&lock);
	snprintf(tally.prefix, sizeof(tally.prefix), "%s", prefix);
	tally.instances = tally.distinct = tally.foreign = tally.bytes = 0;
	tally.first_ns = tally.last_ns = 0;
	tally.associations = tally.failed = 0;
	tally.most_open = tally.open;
	tally.why[0] = '\0';
	if (tally.size)
		memset(tally.seen, 0, tally.size * sizeof(*tally.seen));
	print_tally(false);
	pthread_mutex_unlock(&lock);
}

static void wait_for(uint64_t count, double seconds)
{
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	struct timespec t = {
	    .tv_sec = (time_t)(end / 1000000000u),
	    .tv_nsec = (long)(end % 1000000000u),
	};
	int rc = 0;

	pthread_mutex_lock(&lock);
	while (tally.distinct < count && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&arrived, &lock, &t);
	print_tally(tally.distinct < count);
	pthread_mutex_unlock(&lock);
}

static void command(const char *line)
{
	unsigned long long count;
	char prefix[65] = "";
	double seconds;

	if (strncmp(line, "mark", 4) == 0) {
		(void)sscanf(line, "mark %64s", prefix);
		mark(prefix);
	} else if (sscanf(line, "wait %llu %lf", &count, &seconds) == 2) {
		wait_for(count, seconds);
	} else if (strncmp(line, "stat", 4) == 0) {
		pthread_mutex_lock(&lock);
		print_tally(false);
		pthread_mutex_unlock(&lock);
	} else {
		printf("{\"error\": \"unknown command\"}\n");
		fflush(stdout);
	}
}

static const char intro[] =
    "usage: sink --port PORT [options]\n"
    "Take every C-STORE on 127.0.0.1, count, keep nothing; answer C-ECHO and\n"
    "C-FIND. Commands on stdin:\n"
    "mark PREFIX; wait COUNT SECONDS; stat. SIGTERM ends it with a last JSON\n"
    "line.\n";

static const struct arg table[] = {
    {"port", ARG_NUMBER, &opt.port, ""},
    {"listen", ARG_TEXT, &opt.listen, "IPv4 address, default 127.0.0.1"},
    {"pdu", ARG_NUMBER, &opt.pdu, "maximum advertised, default 128K"},
    {"count", ARG_NUMBER, &opt.count, "end after so many distinct instances"},
    {"digests", ARG_TEXT, &opt.digests, "file for 'UID SHA-256' lines"},
    {"tls", ARG_FLAG, &opt.tls, "mutual TLS, with these three:"},
    {"cert", ARG_TEXT, &opt.o.certificate, "PEM"},
    {"key", ARG_TEXT, &opt.o.key, "PEM"},
    {"ca", ARG_TEXT, &opt.o.ca, "PEM"},
    {"suites", ARG_TEXT, &opt.o.suites, "default TLS_AES_256_GCM_SHA384"},
    {"groups", ARG_TEXT, &opt.o.groups, "default P-256"},
    {"tls12", ARG_TEXT, &opt.o.tls12, "allow TLS 1.2 with these ciphers"},
    {"no-resumption", ARG_FLAG, &opt.o.no_resumption, "full handshakes only"},
    {NULL, ARG_FLAG, NULL, NULL},
};

static void prepare(sigset_t *set)
{
	pthread_condattr_t attr;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&arrived, &attr);
}

int main(int argc, char **argv)
{
	char line[256];
	pthread_t t;
	sigset_t set;
	int listener;

	args_parse(argc, argv, intro, table);
	if (opt.port == 0 || opt.port > 65535 || opt.pdu < 4096)
		args_refuse("--port is missing, or --pdu too small");
	if (opt.tls && !(opt.o.certificate && opt.o.key && opt.o.ca))
		args_refuse("--tls needs --cert, --key and --ca");
	prepare(&set);
	if (opt.tls)
		tls = wire_tls_new(&opt.o);
	if (opt.digests && !(digest_file = fopen(opt.digests, "w"))) {
		perror(opt.digests);
		return 1;
	}
	listener = listen_on((uint16_t)opt.port);
	if (pthread_create(&t, NULL, run_signals, &set) != 0 ||
	    pthread_create(&t, NULL, run_acceptor, &listener) != 0)
		abort();
	while (fgets(line, sizeof(line), stdin))
		command(line);
	for (;;)
		pause();
}
