/* The same with the real ledger in the same directory: it tails, moves and
 * recycles, and what is delivered is said to it as senders do. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lib/mem.h"
#include "store/ledger_origin.h"
#include "tests/fault/powerloss.h"

enum { PAGE = 64 };

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done, end;
	enum err e;
	struct ledger_cursor next;
	size_t n;
	struct ledger_item items[PAGE];
};

struct ledger *powerloss_ledger_open(const char *dir, struct spool *spool)
{
	struct ledger_options o = {.path = dir};
	char why[LEDGER_WHY_LEN];
	struct ledger *l;

	if (ledger_open(&o, spool, &l, why) != ERR_OK)
		powerloss_fail("the ledger does not open: %s", why);
	return l;
}

static void finish(struct answer *a, enum err e)
{
	pthread_mutex_lock(&a->lock);
	a->done = true;
	a->e = e;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static void on_fetched(void *arg, const struct ledger_fetched *f)
{
	struct answer *a = arg;

	a->n = f->n;
	a->next = f->next;
	a->end = f->end;
	if (f->n > 0)
		memcpy(a->items, f->items, f->n * sizeof(a->items[0]));
	finish(a, f->e);
}

static void on_barrier(void *arg, enum err e)
{
	finish(arg, e);
}

static void wait_answer(struct answer *a, const char *what)
{
	pthread_mutex_lock(&a->lock);
	while (!a->done)
		pthread_cond_wait(&a->cond, &a->lock);
	a->done = false;
	pthread_mutex_unlock(&a->lock);
	if (a->e != ERR_OK)
		powerloss_fail("%s: %s", what, err_text(a->e));
}

static struct answer *answer_new(void)
{
	struct answer *a = mem_zalloc(sizeof(*a));

	if (a == NULL)
		powerloss_fail("out of memory");
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	a->next = LEDGER_CURSOR_START;
	return a;
}

/* The next page of what is in a state for "cloud". */
static void fetch(struct ledger *l, enum delivery_state state, struct answer *a)
{
	struct ledger_query q = {.destination = "cloud",
				 .state = state,
				 .after = a->next,
				 .max = PAGE};

	if (ledger_fetch(l, &q, on_fetched, a) != ERR_OK)
		powerloss_fail("the ledger takes no questions");
	wait_answer(a, "fetch");
}

void powerloss_ledger_barrier(struct ledger *l)
{
	struct answer *a = answer_new();

	if (ledger_barrier(l, on_barrier, a) != ERR_OK)
		powerloss_fail("no barrier");
	wait_answer(a, "barrier");
	mem_free(a);
}

static void each_in(struct ledger *l, enum delivery_state state,
		    powerloss_item_fn *fn, void *arg)
{
	struct answer *a = answer_new();

	while (!a->end) {
		fetch(l, state, a);
		for (size_t i = 0; i < a->n; i++)
			fn(arg, (uint32_t)a->items[i].association,
			   &a->items[i].transfer);
	}
	mem_free(a);
}

void powerloss_ledger_each(struct ledger *l, powerloss_item_fn *fn, void *arg)
{
	each_in(l, DELIVERY_QUEUED, fn, arg);
	each_in(l, DELIVERY_ARRIVED, fn, arg);
}

struct asked {
	struct answer *a;
	struct ledger_origin o;
};

static void on_origins(void *arg, enum err e, const struct ledger_origin *v,
		       size_t n)
{
	struct asked *asked = arg;

	if (n == 1)
		asked->o = v[0];
	finish(asked->a, e);
}

bool powerloss_ledger_knows(struct ledger *l, const struct instance_origin *v)
{
	struct asked asked = {.a = answer_new()};

	if (ledger_origins(l, v, 1, on_origins, &asked) != ERR_OK)
		powerloss_fail("the ledger takes no questions");
	wait_answer(asked.a, "origins");
	mem_free(asked.a);
	return asked.o.state == ORIGIN_ARRIVED;
}

struct seen {
	bool *at;
	size_t n;
};

static void see(void *arg, uint32_t n, const struct transfer_id *id)
{
	struct seen *s = arg;

	(void)id;
	if (n < s->n)
		s->at[n] = true;
}

void powerloss_ledger_check(const char *dir, struct powerloss_acked acked)
{
	struct spool *s = powerloss_open(dir);
	struct ledger *l = powerloss_ledger_open(dir, s);
	struct seen seen = {.n = 1};

	if (acked.n > 0)
		seen.n += acked.at[acked.n - 1]; /* they rise */
	seen.at = mem_zarray(seen.n, sizeof(*seen.at));
	if (seen.at == NULL)
		powerloss_fail("out of memory");
	powerloss_ledger_barrier(l);
	powerloss_ledger_each(l, see, &seen);
	for (size_t i = 0; i < acked.n; i++)
		if (!seen.at[acked.at[i]])
			powerloss_fail("acknowledged instance %u is not in the "
				       "ledger's queue",
				       acked.at[i]);
	mem_free(seen.at);
	ledger_close(l);
	spool_close(s);
}
