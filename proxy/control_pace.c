#include "proxy/control_pace.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proxy/control_op.h"
#include "proxy/lib/clock.h"
#include "store/ledger.h"
#include "store/spool.h"

enum {
	NICER = 10,
	LOOK_NS = 100 * 1000000,
	BUSY_PER_S = 20, /* instances a second: somebody sends a study */
	REST = 4,        /* while busy: rest so many times the work */
	REST_MAX_NS = 250 * 1000000,
	LAG_MAX = 5000, /* records that the ledger is behind */
	LAG_WAITS = 20  /* of REST_MAX_NS each */
};

/* Whoever sends goes first. Linux keeps a thread's own value, and this one ends
 * with its connection. */
void control_pace_begin(struct control_pace *p)
{
	id_t self = (id_t)gettid();

	(void)setpriority(PRIO_PROCESS, self,
			  getpriority(PRIO_PROCESS, self) + NICER);
	*p = (struct control_pace){.since_ns = clock_mono_ns()};
}

static void rest(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
			     .tv_nsec = (long)(ns % 1000000000u)};

	(void)nanosleep(&t, NULL);
}

static bool ledger_is_behind(const struct control_options *opt,
			     const struct spool_stats *spool)
{
	struct ledger_stats ledger;

	ledger_stats(opt->ledger, &ledger);
	return spool->sequence > ledger.applied &&
	       spool->sequence - ledger.applied > LAG_MAX;
}

static void look(struct control_pace *p, const struct control_connection *k,
		 uint64_t now)
{
	const struct control_options *opt = k->opt;
	struct spool_stats spool;
	uint64_t since = now - p->looked_ns;

	spool_stats(opt->spool, &spool);
	p->busy = p->looked_ns != 0 &&
		  (spool.stored - p->stored) * 1000000000u / since > BUSY_PER_S;
	for (int i = 0; i < LAG_WAITS && ledger_is_behind(opt, &spool) &&
			!control_stopping(k);
	     i++) {
		rest(REST_MAX_NS);
		spool_stats(opt->spool, &spool);
	}
	p->stored = spool.stored;
	p->looked_ns = clock_mono_ns();
}

void control_pace_keep(struct control_pace *p,
		       const struct control_connection *k)
{
	uint64_t now = clock_mono_ns(), worked = now - p->since_ns;

	if (now - p->looked_ns >= LOOK_NS)
		look(p, k, now);
	if (p->busy)
		rest(worked * REST < REST_MAX_NS ? worked * REST : REST_MAX_NS);
	p->since_ns = clock_mono_ns();
}
