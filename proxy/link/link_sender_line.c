/* link_sender_line.c - the link: HELLO, loss, when it is wanted. */
#include <stdio.h>
#include <string.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/link_sender_int.h"

/* ---- connections --------------------------------------------------------- */

struct link_conn *link_line_conn(const struct link_sender *s, unsigned number)
{
	return s->session != NULL ? link_session_conn(s->session, number)
				  : NULL;
}

int link_line_any(const struct link_sender *s)
{
	for (unsigned i = 0; s->up && i < LINK_CONNECTIONS_MAX; i++) {
		if (link_line_conn(s, i) != NULL)
			return (int)i;
	}
	return -1;
}

void link_line_count(struct link_sender *s, const struct link_conn *c,
		     uint64_t before, size_t n)
{
	const struct destination *d = s->env.destination;
	uint64_t written = link_conn_written(c) - before, wait_ns;
	struct shaper_client client;

	if (written <= n || !shaper_limits(d->shaper, d->index))
		return;
	shaper_join(&client, d->shaper, SHAPER_OUT, d->index, SHAPER_NONE);
	(void)shaper_take(&client, SHAPER_LIVE, (size_t)written - n,
			  clock_mono_ns(), &wait_ns);
}

bool link_line_send(struct link_sender *s, unsigned number,
		    const struct link_frame *f)
{
	struct link_conn *c = link_line_conn(s, number);
	uint64_t before = c != NULL ? link_conn_written(c) : 0;

	if (c == NULL || link_conn_send(c, f) != ERR_OK)
		return false;
	link_line_count(s, c, before, 0);
	return true;
}

/* ---- up ------------------------------------------------------------------ */

static void on_hello(void *arg, struct link_hello *ours)
{
	struct link_sender *s = arg;

	ours->position = spool_durable(s->env.spool);
}

enum far { FAR_SAME, FAR_RESTARTED, FAR_OLDER, FAR_OTHER };

/* PROTOCOL.md, "Stores that change". */
static enum far compare(const struct link_sender *s, const struct link_hello *h)
{
	if (!s->far_known)
		return FAR_RESTARTED;
	if (memcmp(s->far_spool, h->spool, sizeof(h->spool)) != 0)
		return FAR_OTHER;
	if (h->position < s->far_position)
		return FAR_OLDER;
	if (memcmp(s->far_epoch, h->epoch, sizeof(h->epoch)) != 0)
		return FAR_RESTARTED;
	return FAR_SAME;
}

static void log_change(const struct link_sender *s, enum far far)
{
	static const char *const words[] = {
	    [FAR_OLDER] = "the far store was put back to an older state",
	    [FAR_OTHER] = "the far store was replaced or wiped",
	};

	if (far == FAR_OLDER || far == FAR_OTHER)
		log_event(LOG_ERROR, "far-store-changed",
			  "destination=%s detail=\"%s\"", s->config->name,
			  words[far]);
}

static void note_up(struct link_sender *s, const struct link_hello *h)
{
	struct link_sender_status *st = &s->now;

	memcpy(s->far_spool, h->spool, sizeof(s->far_spool));
	memcpy(s->far_epoch, h->epoch, sizeof(s->far_epoch));
	s->far_position = h->position;
	s->far_known = true;
	(void)snprintf(st->node, sizeof(st->node), "%s", h->node);
	st->open_ms = clock_wall_ms();
	st->text[0] = '\0';
}

/* Nothing is under way: no connection was left. */
static void set_window(struct link_sender *s)
{
	struct link_window_config c = {.ceiling = s->config->link.window};

	if (s->terms.window < c.ceiling)
		c.ceiling = s->terms.window;
	c.urgent = c.ceiling / 8;
	link_window_init(&s->window, &c);
}

static void log_open(const struct link_sender *s, const struct link_hello *h,
		     enum far far)
{
	log_event(LOG_INFO, "link-open",
		  "destination=%s endpoint=%s node=\"%s\" version=%u "
		  "connections=%u window=%llu transfers=%u far_store=%s",
		  s->config->name, link_session_endpoint(s->session), h->node,
		  s->terms.version, s->terms.connections,
		  (unsigned long long)s->terms.window, s->terms.transfers,
		  far == FAR_SAME ? "same" : "to-be-asked");
}

static uint16_t on_up(void *arg, const struct link_hello *theirs,
		      const struct link_terms *terms,
		      char text[LINK_TEXT_MAX + 1])
{
	struct link_sender *s = arg;
	enum far far = compare(s, theirs);

	if (!terms->they_take) {
		(void)snprintf(text, LINK_TEXT_MAX + 1,
			       "this end takes no transfers");
		return LINK_BYE_LIMITS;
	}
	log_change(s, far);
	s->terms = *terms;
	s->head_number = 0;
	s->ask_all = s->ask_all || far != FAR_SAME;
	note_up(s, theirs);
	set_window(s);
	log_open(s, theirs, far);
	return 0;
}

static void open_again(struct link_sender *s, bool all)
{
	s->ask_lost = false;
	s->survey.asked = 0;
	s->survey.number += all;
	link_tx_up(s, all);
	link_ask_say(s);
	if (all)
		link_ask_begin(s);
}

static void first_conn(struct link_sender *s, const struct link_conn *c)
{
	struct link_news news = {.kind = LINK_NEWS_OPEN};

	s->up = true;
	atomic_store(&s->open, true);
	if (c != NULL)
		link_row_begin(s, c);
	open_again(s, s->ask_all);
	s->ask_all = false;
	link_report_news(s, NULL, news);
}

/* With a connection goes what was said on it, and the far end says it again
 * only to a new link: of what has arrived everything is asked for. */
void link_line_ask_lost(struct link_sender *s)
{
	if (!s->ask_lost || !s->up || link_line_any(s) < 0)
		return;
	open_again(s, true);
}

static void on_conn(void *arg, unsigned number)
{
	struct link_sender *s = arg;
	struct link_conn *c = link_line_conn(s, number);

	if (c != NULL && link_conn_note(c)[0] != '\0')
		log_event(LOG_WARN, "link-note",
			  "destination=%s connection=%u text=\"%s\"",
			  s->config->name, number, link_conn_note(c));
	if (!s->up)
		first_conn(s, c);
	link_sender_pump(s);
}

/* ---- down ---------------------------------------------------------------- */

static void on_lost(void *arg, unsigned number, const char *text)
{
	struct link_sender *s = arg;

	if (!s->closing && link_session_up(s->session))
		log_event(LOG_WARN, "link-connection-lost",
			  "destination=%s connection=%u text=\"%s\"",
			  s->config->name, number, text);
	link_tx_lost(s, number);
	s->ask_lost = true;
	link_sender_pump_soon(s);
}

static struct verdict verdict_of(const struct link_session_down *d)
{
	struct verdict v = link_verdict_of_bye(d->bye);

	if (d->bye != 0)
		return v;
	switch (d->why) {
	case ERR_NOTFOUND:
		return outcome_of_failure(FAIL_RESOLVE);
	case ERR_TIMEOUT:
		return outcome_of_failure(FAIL_CONNECT_TIMEOUT);
	case ERR_TLS:
		return outcome_of_failure(FAIL_TLS);
	case ERR_NOMEM:
		return outcome_of_failure(FAIL_NO_MEMORY);
	default: /* whatever else TCP says */
		break;
	}
	return outcome_of_failure(FAIL_CONNECT);
}

/* It cannot be opened: who waits must not wait here. */
static void give_back(struct link_sender *s, const struct link_session_down *d)
{
	struct link_news news = {.kind = LINK_NEWS_DOWN,
				 .verdict = verdict_of(d)};
	bool told = false;

	for (unsigned urgent = 0; urgent < 2; urgent++) {
		LIST_EACH(n, tmp, &s->waiting[urgent])
		{
			struct link_tx *tx =
			    CONTAINER_OF(n, struct link_tx, node);

			link_report_task(tx, TASK_NOT_OPENED, &news.verdict,
					 d->text);
			link_tx_free(tx);
			told = true;
		}
	}
	if (told || d->fault == LINK_FAULT_NONE)
		return;
	(void)snprintf(news.text, sizeof(news.text), "%s", d->text);
	link_report_news(s, NULL, news);
}

static void on_down(void *arg, const struct link_session_down *d)
{
	struct link_sender *s = arg;
	enum log_level level = d->fault == LINK_FAULT_NONE   ? LOG_INFO
			       : d->fault == LINK_FAULT_LOST ? LOG_WARN
							     : LOG_ERROR;

	s->up = false;
	atomic_store(&s->open, false);
	s->now.open_ms = 0;
	link_row_end(s, d->text);
	(void)snprintf(s->now.text, sizeof(s->now.text), "%s", d->text);
	if (d->was_up)
		log_event(
		    level, "link-closed",
		    "destination=%s code=%s bye=%u retry_ms=%llu text=\"%s\"",
		    s->config->name,
		    d->bye != 0 ? condition_code(verdict_of(d).code)
				: condition_code("link-lost"),
		    d->bye, (unsigned long long)d->retry_ms, d->text);
	if (!d->was_up || d->fault == LINK_FAULT_HELD)
		give_back(s, d);
	link_line_tick(s, clock_mono_ns() / 1000000);
}

static void on_frame(void *arg, unsigned number, const struct link_frame *f)
{
	(void)number;
	link_answer(arg, f);
}

static void on_room(void *arg, unsigned number)
{
	(void)number;
	link_sender_pump(arg);
}

static void on_silent(void *arg, unsigned number)
{
	struct link_sender *s = arg;

	log_event(
	    LOG_WARN, "link-silent",
	    "destination=%s connection=%u detail=\"nothing comes: a further "
	    "connection is tried\"",
	    s->config->name, number);
}

static void on_stopped(void *arg)
{
	struct link_sender *s = arg;

	s->session = NULL;
	s->up = false;
	link_sender_settled(s);
}

/* ---- wanting it ------------------------------------------------------------
 */

static const struct link_session_events events = {
    on_hello, on_up,     on_conn, on_lost,   on_frame,
    on_room,  on_silent, on_down, on_stopped};

static enum err make_session(struct link_sender *s)
{
	struct link_hello h = {.features = LINK_FOLLOW | LINK_HEADS,
			       .window = s->config->link.window,
			       .transfers = s->config->link.transfers,
			       .keepalive_ms = LINK_KEEPALIVE_MS};
	struct link_session_options o = {.worker = s->env.worker,
					 .destination = s->env.destination,
					 .hello = &h};

	if (uv_random(NULL, NULL, h.epoch, sizeof(h.epoch), 0, NULL) != 0)
		return ERR_IO;
	memcpy(h.spool, spool_id(s->env.spool), sizeof(h.spool));
	(void)snprintf(h.node, sizeof(h.node), "%s",
		       s->env.site != NULL && s->env.site->node[0] != '\0'
			   ? s->env.site->node
			   : "culvert");
	return link_session_new(&o, &events, s, &s->session);
}

void link_line_want(struct link_sender *s)
{
	if (s->closing || (s->session == NULL && make_session(s) != ERR_OK))
		return;
	s->idle_ms = 0;
	link_session_want(s->session, true);
}

/* What the ledger has for this destination. */
static uint64_t count_waiting(struct link_sender *s)
{
	struct ledger_stats *st = mem_zalloc(sizeof(*st));
	uint64_t n = 0;

	if (st == NULL)
		return s->waiting_n;
	ledger_stats(s->env.ledger, st);
	for (size_t i = 0; i < st->n_destinations; i++) {
		const struct ledger_destination_stats *d = &st->destinations[i];

		if (strcmp(d->name, s->config->name) == 0)
			n = d->count[DELIVERY_QUEUED] +
			    d->count[DELIVERY_ARRIVED];
	}
	mem_free(st);
	return n;
}

/* ms without work after which the link is closed. */
static uint64_t patience(const struct link_sender *s)
{
	uint64_t idle = s->config->timeouts.idle;

	return s->up && s->head_number != 0 && idle < TX_HEAD_IDLE_MS
		   ? TX_HEAD_IDLE_MS
		   : idle;
}

static void want_or_not(struct link_sender *s, uint64_t now_ms)
{
	if (now_ms - s->looked_ms >= TX_LOOK_MS) {
		s->waiting_n = count_waiting(s);
		s->looked_ms = now_ms;
	}
	if (s->n_tasks > 0 || s->waiting_n > 0 || !list_empty(&s->settling)) {
		link_line_want(s);
		return;
	}
	if (s->idle_ms == 0)
		s->idle_ms = now_ms;
	if (s->session != NULL && now_ms - s->idle_ms >= patience(s))
		link_session_want(s->session, false);
}

/* How good it is, for the status. */
static void look_at_line(struct link_sender *s, const struct link_conn *c)
{
	uint64_t now = clock_mono_ns();
	struct link_conn_figures f;

	if (c == NULL || !line_facts_due(&s->watch, now))
		return;
	link_conn_figures(c, &f);
	if (f.have_tcp)
		line_facts_note(&s->env.destination->line, &s->watch, &f.tcp,
				now);
}

/* Adds those of a list that have several chunks. */
static void look_at_large(struct link_sender_status *st, struct list *list)
{
	unsigned looked = 0;

	LIST_EACH(n, tmp, list)
	{
		const struct link_tx *tx =
		    CONTAINER_OF(n, struct link_tx, node);

		if (st->n_large == LINK_SENDER_LARGE || looked++ == TX_LOOK)
			return;
		if (tx->known && tx->chunks > 1 && tx->work != NULL)
			st->large[st->n_large++] = (struct link_progress){
			    tx->delivery, tx->chunks, tx->work->n_have};
	}
}

static void gather(struct link_sender *s)
{
	struct link_sender_status *st = &s->now;
	struct link_conn *c = link_line_conn(s, 0);

	look_at_line(s, c);

	st->connections =
	    s->session != NULL ? link_session_connections(s->session) : 0;
	st->rtt_us = c != NULL ? link_conn_rtt_us(c) : 0;
	(void)snprintf(st->peer, sizeof(st->peer), "%s",
		       c != NULL ? link_conn_peer(c) : "");
	st->transfers = s->n_open;
	st->in_flight = link_window_in_flight(&s->window);
	st->window = link_window_size(&s->window);
	st->rate = link_window_rate(&s->window);
	st->delay_us = link_window_delay(&s->window);
	st->n_large = 0;
	look_at_large(st, &s->sending[1]);
	look_at_large(st, &s->sending[0]);
	look_at_large(st, &s->quiet);
	(void)pthread_mutex_lock(&s->lock);
	s->shown = *st;
	(void)pthread_mutex_unlock(&s->lock);
}

void link_line_tick(struct link_sender *s, uint64_t now_ms)
{
	if (!s->closing)
		want_or_not(s, now_ms);
	if (now_ms - s->applied_ms >= TX_APPLY_MS) {
		s->applied_ms = now_ms;
		link_accepts_apply(s);
	}
	if (s->up && !s->closing)
		link_head_say(s, now_ms);
	gather(s);
}

void link_line_stop(struct link_sender *s)
{
	if (s->session != NULL)
		link_session_stop(s->session, LINK_BYE_SHUTDOWN);
}
