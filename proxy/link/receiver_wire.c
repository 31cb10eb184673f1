/* receiver_wire.c - one connection: who is it, HELLO, JOIN, frames. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/devices.h"
#include "proxy/admission.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver_int.h"

static const struct config *config_of(const struct rx_wire *w)
{
	return w->home->receiver->opt.config;
}

/* ---- who is it --------------------------------------------------------- */

#ifdef CULVERT_TEST_HOOKS
/* Without TLS, so for tests: by address alone. */
static bool match_plain(struct rx_wire *w)
{
	const struct config *c = config_of(w);

	for (size_t i = 0; i < c->n_devices && w->device < 0; i++) {
		const struct config_device *d = &c->devices[i];

		for (size_t k = 0; k < d->addresses.n; k++)
			if (device_may(d, CONFIG_LINK_SERVICE) &&
			    device_network_covers(
				&d->addresses.v[k],
				(struct sockaddr *)&w->facts.peer))
				w->device = (int)i;
	}
	return w->device >= 0;
}
#else
static bool match_plain(struct rx_wire *w)
{
	(void)w;
	return false;
}
#endif

static bool match(struct rx_wire *w, const struct tls_info *info)
{
	struct device_verdict *v = mem_zalloc(sizeof(*v));
	struct peer_certificate shown = {.info = *info};
	struct device_query q = {.listener = w->listener,
				 .peer = (struct sockaddr *)&w->facts.peer,
				 .certificate =
				     association_certificate_of(&shown)};
	bool in = false;

	if (v == NULL)
		return false;
	in = device_match_link(config_of(w), &q, v);
	if (in)
		w->device = v->device;
	else
		rx_record_refusal(w, device_reason_name(v->reason), v->cause,
				  v->remedy, false);
	mem_free(v);
	return in;
}

static uint16_t on_up(void *arg, char text[LINK_TEXT_MAX + 1])
{
	struct rx_wire *w = arg;
	struct tls_info info;

	(void)text;
	if (w->home->draining)
		return LINK_BYE_SHUTDOWN;
	if (!link_conn_tls(w->conn, &info))
		return match_plain(w) ? 0 : LINK_BYE_UNDECLARED;
	return match(w, &info) ? 0 : LINK_BYE_UNDECLARED;
}

/* ---- HELLO and JOIN ---------------------------------------------------- */

static uint16_t on_hello(void *arg, const struct link_hello *theirs,
			 const struct link_terms *terms,
			 struct link_hello *ours, char text[LINK_TEXT_MAX + 1])
{
	struct rx_wire *w = arg;
	struct link_receiver *r = w->home->receiver;
	uint16_t no = rx_session_begin(w, theirs, terms, text);

	if (no != 0)
		return no;
	memcpy(ours->session, w->session->id, LINK_ID_LEN);
	ours->position = spool_durable(r->opt.spool);
	return 0;
}

static uint16_t on_join(void *arg, const struct link_join *join,
			struct link_terms *terms, char text[LINK_TEXT_MAX + 1])
{
	struct rx_wire *w = arg;
	struct rx_session *s = rx_session_find(w->home, join->session);

	(void)text;
	if (s == NULL || s->ending || (size_t)w->device != s->device)
		return LINK_BYE_SESSION;
	if (join->number >= s->terms.connections)
		return LINK_BYE_LIMITS;
	*terms = s->terms;
	rx_session_attach(s, w, join->number);
	return 0;
}

static void on_open(void *arg)
{
	struct rx_wire *w = arg;
	struct rx_session *s = w->session;

	if (s == NULL)
		return;
	if (link_conn_note(w->conn)[0] != '\0')
		log_event(LOG_WARN, "link-option", "device=%s detail=\"%s\"",
			  s->facts.row.device, link_conn_note(w->conn));
	if (s->pauses != 0)
		link_conn_pause(w->conn);
	rx_session_open(s, w);
}

/* ---- frames ------------------------------------------------------------ */

void rx_wire_broken(struct rx_wire *w, const char *why)
{
	log_event(LOG_WARN, "link-broken",
		  "device=%s peer=%s connection=%u detail=\"%s\"",
		  w->session != NULL ? w->session->facts.row.device : "",
		  link_conn_peer(w->conn), w->number, why);
	if (w->session != NULL)
		rx_session_because(w->session, why);
	link_conn_bye(w->conn, LINK_BYE_PROTOCOL, false, why);
}

static size_t size_of(const struct link_frame *f)
{
	return f->type == LINK_DATA ? LINK_DATA_HEAD + f->data.data.len : 64;
}

void rx_wire_tick(struct rx_wire *w)
{
	struct link_conn_figures f;

	link_conn_figures(w->conn, &f);
	w->bytes_out = f.bytes_out;
	if (f.bytes_in > w->bytes_in)
		w->bytes_in = f.bytes_in;
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct rx_wire *w = arg;
	struct rx_session *s = w->session;

	w->bytes_in += size_of(f);
	if (s == NULL || s->ending)
		return;
	rx_pace(s, size_of(f));
	switch (f->type) {
	case LINK_OFFER:
		rx_on_offer(w, f);
		break;
	case LINK_DATA:
		rx_on_data(w, f);
		break;
	case LINK_CHUNK_END:
		rx_on_chunk_end(w, f);
		break;
	case LINK_ROOT:
		rx_on_root(w, f);
		break;
	case LINK_WITHDRAW:
		rx_on_withdraw(w, f);
		break;
	case LINK_QUERY:
		rx_on_query(w, f);
		break;
	case LINK_NOTED:
		rx_on_noted(w, f);
		break;
	case LINK_HEAD:
		rx_on_head(w, f);
		break;
	case LINK_HELLO:
	case LINK_JOIN:
	case LINK_JOINED:
	case LINK_PING:
	case LINK_PONG:
	case LINK_BYE:
	case LINK_HAVE:
	case LINK_ACK:
	case LINK_BAD:
	case LINK_ARRIVED:
	case LINK_DELIVERED:
	case LINK_UNDELIVERED:
	case LINK_REFUSED:
	case LINK_ACCEPTS:
		break; /* conn.h keeps them away */
	}
}

static void on_room(void *arg)
{
	struct rx_wire *w = arg;

	if (w->session != NULL)
		rx_told_pump(w->session);
}

/* ---- the end ----------------------------------------------------------- */

static void ended_early(struct rx_wire *w, const struct link_conn_end *end)
{
	if (w->refused || end->why == ERR_CANCELED)
		return;
	if (end->why == ERR_TLS)
		rx_record_refusal(w, REFUSAL_TLS, end->text, NULL, true);
	else if (end->why == ERR_PROTO || end->said != 0)
		rx_record_refusal(w, "bad-link-request", end->text, NULL,
				  false);
	else
		log_event(LOG_DEBUG, "connection-ended",
			  "listener=%s peer=%s why=\"%s\"", w->facts.row.party,
			  w->facts.row.peer, end->text);
}

static void wire_free(struct rx_wire *w)
{
	struct rx_home *h = w->home;

	admission_leave(h->receiver->opt.admission, w->listener,
			w->has_place ? w->device : -1);
	list_remove(&w->node);
	atomic_fetch_sub(&h->receiver->counts.connections, 1);
	if (w->n_open != NULL)
		atomic_fetch_sub(w->n_open, 1);
	worker_load_add(h->worker, -1);
	mem_free(w);
}

static void on_closed(void *arg, const struct link_conn_end *end)
{
	struct rx_wire *w = arg;
	struct rx_session *s = w->session;

	if (s == NULL) {
		ended_early(w, end);
	} else {
		if (!end->opened)
			ended_early(w, end);
		s->bytes_in += w->bytes_in;
		s->bytes_out += w->bytes_out;
		if (s->n_wires == 1)
			rx_session_because(s, end->text);
		else
			log_event(LOG_INFO, "link-connection-closed",
				  "assoc=%llu device=%s connection=%u "
				  "why=\"%s\"",
				  (unsigned long long)s->facts.row.id,
				  s->facts.row.device, w->number, end->text);
		rx_session_detach(s, w);
	}
	wire_free(w);
}

/* ---- birth ------------------------------------------------------------- */

static const struct link_conn_events events = {.on_up = on_up,
					       .on_hello = on_hello,
					       .on_join = on_join,
					       .on_open = on_open,
					       .on_frame = on_frame,
					       .on_room = on_room,
					       .on_closed = on_closed};

void rx_wire_refuse(struct rx_home *h, int fd, size_t listener)
{
	admission_leave(h->receiver->opt.admission, listener, -1);
	close(fd);
}

static struct link_hello our_hello(struct link_receiver *r,
				   const struct config_listener *l)
{
	struct link_hello h = {.version_min = LINK_VERSION,
			       .version_max = LINK_VERSION,
			       .features = LINK_TAKES | LINK_FOLLOW |
					   LINK_JOINS | LINK_HEADS,
			       .window = l->link.window,
			       .transfers = l->link.transfers,
			       .keepalive_ms = LINK_KEEPALIVE_MS,
			       .connections = LINK_CONNECTIONS_MAX,
			       .chunk_log2 = LINK_CHUNK_LOG2};

	memcpy(h.spool, spool_id(r->opt.spool), LINK_ID_LEN);
	rx_epoch(r, h.epoch);
	snprintf(h.node, sizeof(h.node), "%s", r->opt.config->node);
	return h;
}

enum err rx_wire_accept(struct rx_home *h, int fd, size_t listener,
			struct tls_context *tls, atomic_uint *n_open)
{
	const struct config_listener *l =
	    &h->receiver->opt.config->listeners[listener];
	struct link_hello hello = our_hello(h->receiver, l);
	struct link_conn_options o = {.tls = tls,
				      .hello = &hello,
				      .congestion = l->congestion,
				      .handshake_ms = l->timeouts.artim};
	struct rx_wire *w = mem_zalloc(sizeof(*w));
	enum err e;

	if (w == NULL) {
		rx_wire_refuse(h, fd, listener);
		return ERR_NOMEM;
	}
	w->home = h;
	w->listener = listener;
	w->device = -1;
	w->n_open = n_open;
	list_init(&w->chunks);
	association_facts_init(&w->facts, l, fd);
	list_push_back(&h->wires, &w->node);
	atomic_fetch_add(&h->receiver->counts.connections, 1);
	if (n_open != NULL)
		atomic_fetch_add(n_open, 1);
	worker_load_add(h->worker, 1);
	e = link_conn_accept(h->worker, fd, &o, &events, w, &w->conn);
	if (e != ERR_OK)
		wire_free(w);
	return e;
}
