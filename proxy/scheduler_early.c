/* scheduler_early.c - cut-through: instances that begin to travel while they
 * still come in.
 *
 *   waiting --> flying --> landed     its delivery came into the window: from
 *      |          |                   here on it is one like any other
 *      |          +------> leaving    called back: its association is aborted
 *      +--> (gone: it was whole before a line was free)
 *
 * A flight never delays what is whole: it begins when nothing is ready and a
 * lane is idle, and gives its lane back when something whole finds none. It
 * changes nothing that the queue relies on: the delivery enters the window from
 * the ledger as ever, and only when it is the first of its UID there is the
 * lane told that the end may leave. Whatever happens before that is no attempt
 * and leaves the delivery as it is. After a flight that failed the destination
 * has a pause from them.
 *
 * Over a link a flight shares the lane with all others and keeps nobody
 * waiting. It only sends ahead: once it is whole, it comes back, and its
 * delivery is given like any other; the far end says what it has already. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/scheduler_int.h"

enum {
	FLIGHTS_MAX = 1,      /* flying at once to one destination, */
	LINK_FLIGHTS_MAX = 8, /* over a link */
	PAUSE_MS = 60 * 1000, /* after one that failed */
};

enum flight_state {
	FLIGHT_WAITING,
	FLIGHT_FLYING,
	FLIGHT_LEAVING,
	FLIGHT_LANDED
};

struct flight {
	struct list node; /* in dest.flights */
	uint64_t id;      /* 0: waiting */
	enum flight_state state;
	struct item item;       /* as far as known; never in the window */
	struct lane *lane;      /* waiting: NULL */
	struct lane_note *note; /* NULL: told */
	uint64_t bytes;         /* that the lane counts */
	uint64_t delivery;      /* landed: of which item; 0: over a link */
};

/* ---- the list ---------------------------------------------------------- */

static struct flight *find(const struct dest *d, const struct transfer_id *id)
{
	LIST_EACH(n, tmp, &d->flights)
	{
		struct flight *f = CONTAINER_OF(n, struct flight, node);

		if (transfer_id_equal(&f->item.li.transfer, id))
			return f;
	}
	return NULL;
}

static struct flight *find_by_id(const struct dest *d, uint64_t id)
{
	LIST_EACH(n, tmp, &d->flights)
	{
		struct flight *f = CONTAINER_OF(n, struct flight, node);

		if (f->id == id)
			return f;
	}
	return NULL;
}

static void drop(struct flight *f)
{
	list_remove(&f->node);
	mem_free(f->note);
	mem_free(f);
}

static void log_flight(const struct dest *d, const struct flight *f,
		       enum log_level level, const char *event,
		       const char *text)
{
	char id[TRANSFER_TEXT_LEN];

	log_event(level, event, "destination=%s transfer=%s text=\"%s\"",
		  d->config->name, transfer_id_text(&f->item.li.transfer, id),
		  text);
}

/* ---- beginning --------------------------------------------------------- */

/* As the ledger will say. */
static int32_t priority_of(const struct instance *in)
{
	int32_t rank = in->priority == 1 ? 2 : in->priority == 2 ? 0 : 1;

	return in->device_priority * 4 + rank;
}

#define COPY(to, from) (void)snprintf((to), sizeof(to), "%s", (from))

static void fill_item(struct ledger_item *li, const struct early_news *news)
{
	const struct instance *in = news->known;

	li->transfer = news->transfer;
	li->priority = priority_of(in);
	li->dicom_priority = in->priority;
	li->received_ms = in->received_ms;
	li->length = news->came;
	li->association = in->association;
	li->has_move = in->has_move;
	li->move_originator_id = in->move_originator_id;
	COPY(li->move_originator, in->move_originator);
	COPY(li->calling_ae, in->calling_ae);
	COPY(li->called_ae, in->called_ae);
	COPY(li->device, in->device);
	COPY(li->listener, in->listener);
	COPY(li->sop_class, in->sop_class);
	COPY(li->sop_instance, in->sop_instance);
	COPY(li->transfer_syntax, in->transfer_syntax);
}

static void add(struct dest *d, const struct early_news *news)
{
	struct flight *f = mem_zalloc(sizeof(*f));

	if (f == NULL)
		return;
	f->note = mem_zalloc(sizeof(*f->note));
	if (f->note == NULL) {
		mem_free(f);
		return;
	}
	f->state = FLIGHT_WAITING;
	fill_item(&f->item.li, news);
	destination_aes(d->config, f->item.li.calling_ae, f->item.li.called_ae,
			f->item.calling_ae, f->item.called_ae);
	list_push_back(&d->flights, &f->node);
}

/* One of its UID is in the window: whatever becomes of it goes first. */
static bool has_older(const struct dest *d, const struct flight *f)
{
	const struct heap *heaps[] = {&d->ready, &d->waiting};

	for (size_t k = 0; k < ARRAY_LEN(heaps); k++) {
		for (size_t i = 0; i < heaps[k]->n; i++) {
			const struct item *it =
			    CONTAINER_OF(heaps[k]->nodes[i], struct item, heap);

			if (strcmp(it->li.sop_instance,
				   f->item.li.sop_instance) == 0)
				return true;
		}
	}
	return false;
}

/* The one to begin with: the most urgent, then the oldest. */
static struct flight *next_one(const struct dest *d)
{
	struct flight *best = NULL;

	LIST_EACH(n, tmp, &d->flights)
	{
		struct flight *f = CONTAINER_OF(n, struct flight, node);

		if (f->state != FLIGHT_WAITING || has_older(d, f) ||
		    hold_of(d, &f->item) != NULL)
			continue;
		if (best == NULL ||
		    f->item.li.priority > best->item.li.priority)
			best = f;
	}
	return best;
}

static void on_done(struct msg *m);

static void begin(struct dest *d, struct flight *f)
{
	uint64_t id = ++d->s->last_flight;

	f->lane = run_give_early(d, &f->item, id, on_done);
	if (f->lane == NULL)
		return;
	f->id = id;
	f->state = FLIGHT_FLYING;
	f->lane->early = !link_is(d);
	f->bytes = f->item.li.length;
	d->n_flying++;
	log_flight(d, f, LOG_DEBUG, "cut-through-begun", "");
}

static bool may_begin(const struct dest *d, uint64_t now_ms)
{
	unsigned most = link_is(d) ? LINK_FLIGHTS_MAX : FLIGHTS_MAX;

	return d->n_flying < most && !d->trying && d->alone == NULL &&
	       d->ready.n == 0 && d->not_before_ms <= now_ms &&
	       d->early_not_before_ms <= now_ms && fetch_is_done(d) &&
	       list_empty(&d->unposted);
}

/* ---- calling back ------------------------------------------------------ */

static void tell(struct flight *f, bool whole)
{
	struct lane_note *note = f->note;

	f->note = NULL;
	note->flight = f->id;
	note->whole = whole;
	f->lane->ops->tell(f->lane->impl, note);
}

static void call_back(struct dest *d, struct flight *f, const char *why)
{
	if (f->state != FLIGHT_FLYING)
		return;
	f->state = FLIGHT_LEAVING;
	log_flight(d, f, LOG_INFO, "cut-through-withdrawn", why);
	tell(f, false);
}

static void call_all_back(struct dest *d, const char *why)
{
	LIST_EACH(n, tmp, &d->flights)
	{
		call_back(d, CONTAINER_OF(n, struct flight, node), why);
	}
}

static void pause_flights(struct dest *d)
{
	d->early_not_before_ms = sched_now() + PAUSE_MS;
}

void early_give_way(struct dest *d)
{
	if (d->n_flying == 0 || link_is(d))
		return;
	pause_flights(d);
	call_all_back(d, "a complete one needs the line");
}

static bool in_the_air(const struct flight *f)
{
	return f->state == FLIGHT_FLYING || f->state == FLIGHT_LEAVING;
}

/* The same instance's delivery waits until it is back. */
static bool is_same_over_link(const struct dest *d, const struct flight *f,
			      const struct item *it)
{
	return link_is(d) && f->state != FLIGHT_WAITING &&
	       transfer_id_equal(&f->item.li.transfer, &it->li.transfer);
}

/* Nothing else of its UID, or nothing else at all, may fly. */
static bool excludes(const struct dest *d, const struct flight *f,
		     const struct item *it)
{
	if (!in_the_air(f))
		return false;
	if (it->isolate || d->alone != NULL)
		return true;
	return !link_is(d) &&
	       strcmp(it->li.sop_instance, f->item.li.sop_instance) == 0;
}

bool early_bars(struct dest *d, const struct item *it)
{
	bool bars = false;

	LIST_EACH(n, tmp, &d->flights)
	{
		struct flight *f = CONTAINER_OF(n, struct flight, node);

		if (excludes(d, f, it)) {
			call_back(d, f, "another one goes first");
			bars = true;
		}
		bars = bars || is_same_over_link(d, f, it);
	}
	return bars;
}

/* ---- landing ----------------------------------------------------------- */

/* The lane has the delivery from here on. */
static void land(struct dest *d, struct flight *f, struct item *it)
{
	struct lane *l = f->lane;

	heap_remove(&d->ready, &it->heap);
	it->state = ITEM_FLYING;
	f->state = FLIGHT_LANDED;
	f->delivery = it->li.delivery;
	f->note->item = it->li;
	l->bytes += it->li.length - f->bytes;
	f->bytes = it->li.length;
	d->n_flying--;
	l->early = false;
	memcpy(l->study, it->li.study, sizeof(l->study));
	tell(f, true);
}

static void land_over_link(struct dest *d, struct flight *f)
{
	f->state = FLIGHT_LANDED;
	d->n_flying--;
	tell(f, true);
}

void early_meet(struct dest *d, struct item *it)
{
	struct flight *f =
	    list_empty(&d->flights) ? NULL : find(d, &it->li.transfer);

	if (f == NULL)
		return;
	if (f->state == FLIGHT_WAITING)
		drop(f);
	else if (f->state == FLIGHT_FLYING && link_is(d))
		land_over_link(d, f);
	else if (f->state == FLIGHT_FLYING && it->state == ITEM_READY &&
		 !d->held_by_operator && d->alone == NULL)
		land(d, f, it);
}

/* The lane gave it back, or failed, before it heard that it is whole. */
static void came_back(struct dest *d, struct flight *f, const struct task *t)
{
	struct item *it =
	    f->state == FLIGHT_LANDED ? window_find(d, f->delivery) : NULL;
	char text[512];

	f->lane->n--;
	f->lane->bytes -= f->bytes;
	d->in_flight--;
	if (in_the_air(f)) {
		f->lane->early = false;
		d->n_flying--;
	}
	if (f->state != FLIGHT_LEAVING && t->end != TASK_RETURNED) {
		pause_flights(d);
		verdict_text(&t->verdict, t->detail, text, sizeof(text));
		log_flight(d, f, LOG_INFO, "cut-through-failed", text);
	}
	if (it != NULL) {
		it->state = ITEM_BLOCKED;
		window_ready(d, it);
	}
}

static void on_done(struct msg *m)
{
	struct task *t = CONTAINER_OF(m, struct task, msg);
	struct lane *l = t->lane;
	struct dest *d = l->dest;
	struct flight *f = find_by_id(d, t->flight);

	if (!t->early) {
		drop(f);
		result_done(m);
		return;
	}
	passage_end(&d->passage, t, PASSAGE_BACK);
	came_back(d, f, t);
	drop(f);
	mem_free(t);
	run_dest(d);
	sched_settled(d->s);
}

/* ---- running ----------------------------------------------------------- */

void early_run(struct dest *d, uint64_t now_ms)
{
	struct flight *f;

	if (list_empty(&d->flights))
		return;
	if (d->held_by_operator) {
		call_all_back(d, "the destination is held");
		return;
	}
	while (may_begin(d, now_ms) && (f = next_one(d)) != NULL) {
		begin(d, f);
		if (f->state == FLIGHT_WAITING)
			return; /* no lane */
	}
}

uint64_t early_due(const struct dest *d, uint64_t now_ms)
{
	return !list_empty(&d->flights) && d->n_flying == 0 &&
		       d->early_not_before_ms > now_ms
		   ? d->early_not_before_ms
		   : 0;
}

static void begun(struct scheduler *s, const struct early_news *news)
{
	const struct instance *in = news->known;

	for (size_t i = 0; i < in->n_destinations; i++) {
		struct dest *d = sched_dest(s, in->destinations[i]);
		uint64_t at = d != NULL ? d->config->cut_through : 0;

		if (at <= news->before || at > news->came || d->stopped ||
		    d->config->protocol == CONFIG_DIRECTORY ||
		    find(d, &news->transfer) != NULL)
			continue;
		add(d, news);
		run_dest(d);
	}
}

/* What is whole lands when its delivery comes from the ledger, save over a
 * link. */
static void ended(struct dest *d, const struct early_news *news)
{
	struct flight *f = find(d, &news->transfer);

	if (f == NULL)
		return;
	if (f->state == FLIGHT_WAITING)
		drop(f);
	else if (news->kind == EARLY_BROKEN)
		call_back(d, f, "the device broke it off");
	else if (f->state == FLIGHT_FLYING && link_is(d))
		land_over_link(d, f);
}

void early_heard(void *arg, const struct early_news *news)
{
	struct scheduler *s = arg;

	if (news->kind == EARLY_LONGER) {
		begun(s, news);
		return;
	}
	for (size_t i = 0; i < s->n_dests; i++)
		ended(&s->dests[i], news);
}

/* ---- the end ----------------------------------------------------------- */

void early_stop(struct dest *d)
{
	call_all_back(d, "stopping");
}

void early_free(struct dest *d)
{
	LIST_EACH(n, tmp, &d->flights)
	{
		drop(CONTAINER_OF(n, struct flight, node));
	}
}
