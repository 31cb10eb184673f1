/* server_start.c - one part after the other. */
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/acceptor.h"
#include "proxy/admission.h"
#include "proxy/capability.h"
#include "proxy/commitment.h"
#include "proxy/control.h"
#include "proxy/destination.h"
#include "proxy/handshakes.h"
#include "proxy/host.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/condition.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/link/receiver.h"
#include "proxy/net/tls.h"
#include "proxy/net/worker.h"
#include "proxy/reload.h"
#include "proxy/repository.h"
#include "proxy/repository_open.h"
#include "proxy/sampler.h"
#include "proxy/scheduler.h"
#include "proxy/server_int.h"
#include "proxy/web_child.h"
#include "store/ledger.h"
#include "store/ledger_origin.h"
#include "store/ledger_view.h"
#include "store/seal.h"
#include "store/seal_sign.h"

static void on_queued(void *arg, const char *destination, uint64_t count)
{
	struct server *s = arg;

	(void)count;
	pthread_mutex_lock(&s->scheduler_lock);
	if (s->scheduler != NULL)
		scheduler_queued(s->scheduler, destination);
	pthread_mutex_unlock(&s->scheduler_lock);
}

static void on_origin(void *arg, const struct ledger_origin *o)
{
	struct server *s = arg;

	pthread_mutex_lock(&s->scheduler_lock);
	if (s->links != NULL)
		link_receiver_origin(s->links, o);
	pthread_mutex_unlock(&s->scheduler_lock);
}

static enum err open_spool(struct server *s)
{
	const struct config *c = s->config;
	struct spool_options o = {.path = c->spool.path,
				  .key_path = c->spool.key,
				  .quota = c->spool.quota,
				  .high_water = c->spool.high_water,
				  .low_water = c->spool.low_water,
				  .segment = (size_t)c->spool.segment};
	enum err e =
	    host_directory("spool.path", c->spool.path, s->why, sizeof(s->why));

	return e != ERR_OK ? e : spool_open(&o, &s->spool, s->why);
}

static enum err open_signer(struct server *s)
{
	return seal_signer_open(s->config->records.signing_key, true,
				&s->signer, s->why);
}

static enum err open_ledger(struct server *s)
{
	char id[SEAL_KEY_ID_TEXT];
	const char *path = s->config->records.path;
	struct ledger_options o = {
	    .path = path,
	    .node = s->config->node,
	    .signer = s->signer,
	    .retention_audit_ms = s->config->records.retention_audit,
	    .retention_transfers_ms = s->config->records.retention_transfers,
	    .on_queued = on_queued,
	    .on_origin = on_origin,
	    .arg = s};
	enum err e =
	    host_directory("records.path", path, s->why, sizeof(s->why));

	if (e == ERR_OK)
		e = host_lock_records(path, &s->records_lock, s->why,
				      sizeof(s->why));
	if (e == ERR_OK)
		e = ledger_open(&o, s->spool, &s->ledger, s->why);
	if (e == ERR_OK && seal_signer_is_new(s->signer))
		server_audit(s, AUDIT_SIGNING_KEY_MADE, AUDIT_SUCCESS, "key",
			     seal_key_id_text(seal_signer_id(s->signer), id));
	return e;
}

static bool on_capability(void *arg, const struct ledger_capability *c)
{
	struct server *s = arg;
	struct capability_key key = {.destination = c->destination,
				     .calling_ae = c->calling_ae,
				     .called_ae = c->called_ae,
				     .abstract = c->abstract,
				     .transfer_syntax = c->transfer_syntax};

	capability_load(s->capabilities, &key, c->accepted, c->checked_ms);
	return true;
}

static enum err open_capabilities(struct server *s)
{
	struct ledger_view *view;
	enum err e = capability_new(s->ledger, &s->capabilities);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < s->config->n_destinations; i++) {
		const struct config_destination *d =
		    &s->config->destinations[i];

		if (d->protocol == CONFIG_DIRECTORY)
			capability_always(s->capabilities, d->name);
	}
	/* what was learnt before is a help, not a need */
	if (ledger_view_open(s->config->records.path, &view, s->why) != ERR_OK)
		return ERR_OK;
	if (ledger_view_capabilities(view, NULL, on_capability, s) != ERR_OK)
		log_event(LOG_WARN, "capabilities-unread", "detail=\"%s\"",
			  ledger_view_why(view));
	ledger_view_close(view);
	return ERR_OK;
}

static enum err open_handshakes(struct server *s)
{
	return handshakes_new(s->ledger, &s->handshakes);
}

static enum err open_destinations(struct server *s)
{
	enum err e = destinations_open(s->config, s->ledger, s->capabilities,
				       &s->destinations, s->why);

	for (size_t i = 0; e == ERR_OK && i < s->config->n_destinations; i++)
		handshakes_watch(s->handshakes, s->config->destinations[i].name,
				 s->destinations[i]->tls);
	return e;
}

static enum err open_shaping(struct server *s)
{
	enum err e = shaping_begin(s->config, &s->shaping, s->why);

	if (e != ERR_OK)
		return e;
	(void)shaping_apply(&s->shaping, clock_wall_ms(), clock_mono_ns());
	destinations_shape(s->destinations, s->config->n_destinations,
			   s->shaping.shaper);
	return ERR_OK;
}

static enum err open_loop(struct server *s)
{
	enum err e;

	if (uv_loop_init(&s->loop) != 0)
		return ERR_IO;
	s->loop_open = true;
	e = mailbox_init(&s->mailbox, &s->loop);
	early_desk_init(&s->early, &s->mailbox);
	s->mailbox_open = e == ERR_OK;
	return e;
}

static enum err start_workers(struct server *s)
{
	size_t n = s->config->workers;

	if (n == 0)
		n = uv_available_parallelism();
	if (n > SERVER_WORKERS_MAX)
		n = SERVER_WORKERS_MAX;
	for (size_t i = 0; i < 2 * n; i++) {
		enum err e = worker_start((unsigned)i, &s->workers[i]);

		if (e != ERR_OK)
			return e;
		s->n_workers++;
	}
	return ERR_OK;
}

static enum err start_repositories(struct server *s)
{
	struct repositories_options o = {.config = s->config};
	enum err e = ERR_OK;

	for (size_t i = 0; i < s->config->n_repositories; i++)
		if (s->config->repositories[i].identity != 0)
			o.open = repository_open;
	if (o.open != NULL)
		e = repository_opener_new(s->config->records.path, s->spool,
					  &s->opener);
	o.arg = s->opener;
	if (e != ERR_OK)
		return e;
	return repositories_start(&o, &s->repositories, s->why);
}

static enum err start_commitment(struct server *s)
{
	struct commitment_options o = {
	    .config = s->config, .spool = s->spool, .ledger = s->ledger};

	return commitment_start(&o, &s->commitment, s->why);
}

static enum err start_scheduler(struct server *s)
{
	struct scheduler_options o = {.loop = &s->loop,
				      .mailbox = &s->mailbox,
				      .config = s->config,
				      .spool = s->spool,
				      .ledger = s->ledger,
				      .capabilities = s->capabilities,
				      .destinations = s->destinations,
				      .commitment = s->commitment,
				      .early = &s->early,
				      .workers = s->workers + s->n_workers / 2,
				      .n_workers = s->n_workers / 2};
	struct scheduler *scheduler;
	enum err e = scheduler_start(&o, &scheduler, s->why);

	if (e == ERR_OK)
		(void)server_swap_scheduler(s, scheduler);
	return e;
}

static int count_open(void *arg)
{
	struct server *s = arg;

	return (int)acceptor_open(s->acceptor);
}

static void on_reload_asked(void *arg, const char *by, reload_done_fn *done,
			    void *done_arg)
{
	struct server *s = arg;

	reload_start(s->reload, by, done, done_arg);
}

static enum err start_control(struct server *s)
{
	struct control_options o = {.config = s->config,
				    .spool = s->spool,
				    .ledger = s->ledger,
				    .signer = s->signer,
				    .scheduler = s->scheduler,
				    .destinations = s->destinations,
				    .commitment = s->commitment,
				    .mailbox = &s->mailbox,
				    .repositories = s->repositories,
				    .shaping = &s->shaping,
				    .associations = count_open,
				    .reload = on_reload_asked,
				    .arg = s};

	return control_start(&o, &s->control, s->why);
}

static enum err start_acceptor(struct server *s)
{
	struct acceptor_options o = {.loop = &s->loop,
				     .config = s->config,
				     .spool = s->spool,
				     .ledger = s->ledger,
				     .capabilities = s->capabilities,
				     .destinations = s->destinations,
				     .commitment = s->commitment,
				     .shaper = s->shaping.shaper,
				     .early = &s->early,
				     .links = s->links,
				     .admission = s->admission,
				     .handshakes = s->handshakes,
				     .workers = s->workers,
				     .n_workers = s->n_workers / 2};

	return acceptor_start(&o, &s->acceptor, s->why);
}

static enum err start_sampler(struct server *s)
{
	struct sampler_options o = {.config = s->config,
				    .spool = s->spool,
				    .ledger = s->ledger,
				    .destinations = s->destinations,
				    .shaping = &s->shaping,
				    .admission = s->admission,
				    .associations = count_open,
				    .arg = s};

	return sampler_new(&o, &s->sampler);
}

static enum err start_admission(struct server *s)
{
	return admission_new(s->config, s->ledger, &s->admission);
}

static void on_reshape(void *arg)
{
	struct server *s = arg;

	server_on_hours(&s->hours);
	web_child_reload(s->web);
}

static enum err start_reload(struct server *s)
{
	struct reload_options o = {.loop = &s->loop,
				   .config = s->config,
				   .shaping = &s->shaping,
				   .admission = s->admission,
				   .ledger = s->ledger,
				   .reshape = on_reshape,
				   .arg = s};

	return reload_new(&o, &s->reload);
}

static enum err start_links(struct server *s)
{
	struct link_receiver_options o = {.config = s->config,
					  .spool = s->spool,
					  .ledger = s->ledger,
					  .capabilities = s->capabilities,
					  .shaper = s->shaping.shaper,
					  .admission = s->admission,
					  .workers = s->workers,
					  .n_workers = s->n_workers / 2,
					  .epoch = s->epoch};
	struct link_receiver *links;
	enum err e = link_receiver_new(&o, &links);

	if (e != ERR_OK)
		return e;
	pthread_mutex_lock(&s->scheduler_lock);
	s->links = links;
	pthread_mutex_unlock(&s->scheduler_lock);
	return ERR_OK;
}

static enum err start_tls(struct server *s)
{
	enum err e = tls_global_init();

	return e == ERR_OK ? seal_random(s->epoch, sizeof(s->epoch)) : e;
}

/* Listeners come last: nobody is let in before all is ready. */
/* A part may know better what is wrong. */
static const struct condition *failed_by(const char *why)
{
	const struct condition *c = condition_in_text(why);

	return c != NULL ? c : condition_get(CONDITION_START_FAILED);
}

static enum err check_user(struct server *s)
{
	return host_refuse_root(s->config, s->why, sizeof(s->why));
}

static enum err start_web(struct server *s)
{
	return web_child_start(&s->loop, s->config, &s->web);
}

enum err server_start(struct server *s)
{
	static const struct {
		const char *what;
		enum err (*start)(struct server *s);
	} steps[] = {
	    {"user", check_user},
	    {"TLS library", start_tls},
	    {"spool", open_spool},
	    {"signing key", open_signer},
	    {"ledger", open_ledger},
	    {"capabilities", open_capabilities},
	    {"handshakes", open_handshakes},
	    {"destinations", open_destinations},
	    {"bandwidth limits", open_shaping},
	    {"main loop", open_loop},
	    {"workers", start_workers},
	    {"audit repositories", start_repositories},
	    {"storage commitment", start_commitment},
	    {"scheduler", start_scheduler},
	    {"admission", start_admission},
	    {"reload", start_reload},
	    {"links", start_links},
	    {"listeners", start_acceptor},
	    {"figures", start_sampler},
	    {"control socket", start_control},
	    {"status page", start_web},
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		enum err e;

		s->why[0] = '\0';
		e = steps[i].start(s);
		if (e == ERR_OK)
			continue;
		log_event(LOG_ERROR, "start-failed",
			  "code=%s part=\"%s\" detail=\"%s\"",
			  failed_by(s->why)->code, steps[i].what,
			  s->why[0] != '\0' ? s->why : err_text(e));
		return e;
	}
	return ERR_OK;
}
