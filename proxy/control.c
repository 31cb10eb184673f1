/* control.c - see control.h. Each connection has a thread; what belongs to the
 * main loop is posted there and waited for. */
#include "proxy/control.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/control_export.h"
#include "proxy/control_io.h"
#include "proxy/control_status.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/net/mailbox.h"
#include "proxy/scheduler.h"
#include "store/ledger.h"

enum {
	CONNECTIONS = 8,     /* served at once */
	REQUEST_SECONDS = 5, /* for the line that asks */
	ANSWER_SECONDS = 10, /* longest wait for the main loop */
	LOOK_MS = 50,        /* a stop is noticed within */
};

#define OPERATOR_GROUP "culvert-operator"

struct connection {
	struct control *control;
	pthread_t thread;
	int fd;
	atomic_bool done; /* the thread may be joined */
	bool used;
};

struct control {
	struct control_options opt;
	struct connection connections[CONNECTIONS];
	pthread_t thread;
	int listening;
	int stop; /* eventfd */
	atomic_bool stopping;
	atomic_uint owners; /* itself, and each call still under way */
	int64_t started_ms;
};

static void control_drop(struct control *ctl)
{
	if (atomic_fetch_sub(&ctl->owners, 1) == 1)
		mem_free(ctl);
}

/* ---- calls on the main loop -------------------------------------------- */

/* Two owners: the thread that waits and the loop that answers. */
struct call {
	struct msg msg;
	struct control *control;
	void (*run)(struct call *c); /* on the main loop */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	unsigned owners;
	bool done;
	json_t *answer;
	char destination[CONFIG_NAME_LEN], to[CONFIG_NAME_LEN];
	struct transfer_id transfer;
	bool has_transfer;
	char op[16];
	char by[32]; /* "uid 1000" */
};

static void call_drop(struct call *c)
{
	unsigned left;

	pthread_mutex_lock(&c->lock);
	left = --c->owners;
	pthread_mutex_unlock(&c->lock);
	if (left > 0)
		return;
	control_drop(c->control);
	json_decref(c->answer);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->answered);
	mem_free(c);
}

static void call_answer(struct call *c, json_t *answer)
{
	pthread_mutex_lock(&c->lock);
	c->answer = answer;
	c->done = true;
	pthread_cond_signal(&c->answered);
	pthread_mutex_unlock(&c->lock);
	call_drop(c);
}

static struct call *call_new(struct control *ctl, void (*run)(struct call *))
{
	struct call *c = mem_zalloc(sizeof(*c));
	pthread_condattr_t attr;

	if (c == NULL)
		return NULL;
	c->control = ctl;
	atomic_fetch_add(&ctl->owners, 1);
	c->run = run;
	c->owners = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->answered, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

static void on_call(struct msg *m)
{
	struct call *c = CONTAINER_OF(m, struct call, msg);

	if (atomic_load(&c->control->stopping))
		call_answer(c, control_error("the daemon is stopping"));
	else
		c->run(c);
}

static void wait_a_little(struct call *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&c->answered, &c->lock, &until);
}

/* Post, wait, and take the answer. Consumes c. Never NULL unless memory is
 * out. */
static json_t *call_wait(struct call *c)
{
	uint64_t end_ns = clock_mono_ns() + ANSWER_SECONDS * 1000000000ull;
	json_t *answer;

	c->msg.run = on_call;
	c->owners = 2;
	if (!mailbox_post(c->control->opt.mailbox, &c->msg)) {
		c->owners = 1;
		call_drop(c);
		return control_error("the daemon is stopping");
	}
	pthread_mutex_lock(&c->lock);
	/* control_stop() waits for this thread on the loop that would answer */
	while (!c->done && clock_mono_ns() < end_ns &&
	       !atomic_load(&c->control->stopping))
		wait_a_little(c);
	answer = c->done ? c->answer
			 : control_error("no answer in time; the order may "
					 "still take effect");
	if (c->done)
		c->answer = NULL; /* one owner: the counts are not shared */
	pthread_mutex_unlock(&c->lock);
	call_drop(c);
	return answer;
}

/* ---- status and reload ------------------------------------------------- */

static void run_status(struct call *c)
{
	const struct control *ctl = c->control;

	call_answer(c, control_status(&ctl->opt, ctl->started_ms));
}

static void on_reloaded(void *arg, const struct reload_result *result)
{
	call_answer(arg, control_reloaded(result));
}

static void run_reload(struct call *c)
{
	const struct control_options *o = &c->control->opt;

	o->reload(o->arg, c->by, on_reloaded, c);
}

/* The user the kernel names. */
static void name_user(int fd, char *out, size_t size)
{
	struct ucred who = {0};
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
		snprintf(out, size, "uid %u", who.uid);
}

static json_t *do_reload(struct control *ctl, int fd)
{
	struct call *c = call_new(ctl, run_reload);

	if (c == NULL)
		return control_error("out of memory");
	name_user(fd, c->by, sizeof(c->by));
	return call_wait(c);
}

/* ---- orders ------------------------------------------------------------ */

static void on_ordered(void *arg, enum err e, uint64_t n)
{
	struct call *c = arg;

	if (e == ERR_OK)
		call_answer(
		    c, json_pack("{s:b,s:I}", "ok", 1, "count", (json_int_t)n));
	else if (e == ERR_NOTFOUND)
		call_answer(
		    c, control_error("no such destination or delivery, or none "
				     "that this order fits; see culvert queue "
				     "list"));
	else if (e == ERR_INVAL)
		call_answer(c, control_error("no such destination to redirect "
					     "to, or it is the same one"));
	else if (e == ERR_BUSY)
		call_answer(c, control_error("it is being sent at this moment; "
					     "try again shortly"));
	else
		call_answer(c, control_error(err_text(e)));
}

static void run_order(struct call *c)
{
	struct scheduler *s = c->control->opt.scheduler;
	struct scheduler_scope what = {
	    .destination = c->destination[0] != '\0' ? c->destination : NULL,
	    .transfer = c->has_transfer ? &c->transfer : NULL};

	if (strcmp(c->op, "retry") == 0)
		scheduler_retry(s, what, on_ordered, c);
	else if (strcmp(c->op, "hold") == 0)
		scheduler_hold(s, what, on_ordered, c);
	else if (strcmp(c->op, "release") == 0)
		scheduler_release(s, what, on_ordered, c);
	else if (strcmp(c->op, "discard") == 0)
		scheduler_discard(s, what, on_ordered, c);
	else
		scheduler_redirect(s, what, c->to, on_ordered, c);
}

static bool is_order(const char *op)
{
	static const char *const orders[] = {"retry", "hold", "release",
					     "discard", "redirect"};

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		if (strcmp(op, orders[i]) == 0)
			return true;
	}
	return false;
}

/* On record before it takes effect, with the user the kernel names. */
static void audit_order(struct control *ctl, int fd, enum audit_kind kind,
			const char *op, const char *destination,
			const char *transfer, const char *to)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	char text[3][80];
	struct audit_json j;

	if (e == NULL)
		return;
	e->kind = kind;
	name_user(fd, e->user, sizeof(e->user));
	snprintf(e->destination, sizeof(e->destination), "%s", destination);
	j = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&j, "order", op);
	if (transfer[0] != '\0')
		audit_json_text(&j, "transfer", transfer);
	if (to[0] != '\0')
		audit_json_text(&j, "to", to);
	audit_json_end(&j);
	log_event(LOG_INFO, "order",
		  "op=%s user=\"%s\" destination=%s transfer=%s to=%s", op,
		  e->user, log_esc(destination, text[0], sizeof(text[0])),
		  log_esc(transfer, text[1], sizeof(text[1])),
		  log_esc(to, text[2], sizeof(text[2])));
	ledger_audit(ctl->opt.ledger, e);
	mem_free(e);
}

static const char *text_of(const json_t *request, const char *key)
{
	const char *s = json_string_value(json_object_get(request, key));

	return s != NULL ? s : "";
}

static json_t *do_order(struct control *ctl, int fd, const json_t *request)
{
	const char *op = text_of(request, "op");
	const char *destination = text_of(request, "destination");
	const char *transfer = text_of(request, "transfer");
	const char *to = text_of(request, "to");
	struct call *c = call_new(ctl, run_order);

	if (c == NULL)
		return control_error("out of memory");
	if (destination[0] == '\0' && transfer[0] == '\0') {
		call_drop(c);
		return control_error("neither destination nor transfer given");
	}
	if (transfer[0] != '\0' &&
	    transfer_id_parse(transfer, &c->transfer) != ERR_OK) {
		call_drop(c);
		return control_error("not a transfer id: 32 hexadecimal digits "
				     "as culvert queue list shows");
	}
	c->has_transfer = transfer[0] != '\0';
	if (strlen(destination) >= sizeof(c->destination) ||
	    strlen(to) >= sizeof(c->to)) {
		call_drop(c);
		return control_error("no such destination");
	}
	memcpy(c->destination, destination, strlen(destination) + 1);
	memcpy(c->to, to, strlen(to) + 1);
	snprintf(c->op, sizeof(c->op), "%s", op);
	audit_order(ctl, fd, AUDIT_MANUAL_ACTION, op, destination, transfer,
		    to);
	return call_wait(c);
}

/* ---- connections ------------------------------------------------------- */

static void serve_request(struct control *ctl, int fd, const json_t *request)
{
	const char *op = text_of(request, "op");
	json_t *answer;

	if (strcmp(op, "export") == 0) {
		const char *transfer = text_of(request, "transfer");

		audit_order(ctl, fd, AUDIT_EXPORT, op, "", transfer, "");
		control_export(&ctl->opt, fd, transfer);
		return;
	}
	if (strcmp(op, "status") == 0) {
		struct call *c = call_new(ctl, run_status);

		answer =
		    c != NULL ? call_wait(c) : control_error("out of memory");
	} else if (strcmp(op, "reload") == 0) {
		answer = do_reload(ctl, fd);
	} else if (is_order(op)) {
		answer = do_order(ctl, fd, request);
	} else {
		answer = control_error("unknown request");
	}
	if (control_send(fd, answer) != ERR_OK)
		log_event(LOG_DEBUG, "control-gone", "fd=%d", fd);
	json_decref(answer);
}

static void answer_error(int fd, const char *text)
{
	json_t *error = control_error(text);

	if (control_send(fd, error) != ERR_OK)
		log_event(LOG_DEBUG, "control-gone", "fd=%d", fd);
	json_decref(error);
}

static void *connection_main(void *arg)
{
	struct connection *k = arg;
	json_t *request = NULL;
	enum err e = control_receive(k->fd, REQUEST_SECONDS, &request);

	if (e == ERR_OK)
		serve_request(k->control, k->fd, request);
	else if (e == ERR_PROTO || e == ERR_LIMIT)
		answer_error(k->fd, "not a request: one line with one JSON "
				    "object is wanted");
	json_decref(request);
	/* now, as the descriptor itself is closed when the next one comes */
	shutdown(k->fd, SHUT_RDWR);
	atomic_store(&k->done, true);
	return NULL;
}

static void reap(struct connection *k)
{
	pthread_join(k->thread, NULL);
	close(k->fd);
	k->used = false;
}

static struct connection *free_slot(struct control *ctl)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *k = &ctl->connections[i];

		if (k->used && atomic_load(&k->done))
			reap(k);
		if (!k->used)
			return k;
	}
	return NULL;
}

static void serve_connection(struct control *ctl, int fd)
{
	struct connection *k = free_slot(ctl);

	control_deadline(fd);
	if (k == NULL) {
		answer_error(fd,
			     "too many requests at once; try again shortly");
		close(fd);
		return;
	}
	k->control = ctl;
	k->fd = fd;
	atomic_store(&k->done, false);
	if (pthread_create(&k->thread, NULL, connection_main, k) != 0) {
		close(fd);
		return;
	}
	k->used = true;
}

static void *control_main(void *arg)
{
	struct control *ctl = arg;
	struct pollfd p[2] = {{.fd = ctl->listening, .events = POLLIN},
			      {.fd = ctl->stop, .events = POLLIN}};

	while (!atomic_load(&ctl->stopping)) {
		int fd;

		if (poll(p, 2, -1) < 0 || (p[0].revents & POLLIN) == 0)
			continue;
		fd = accept4(ctl->listening, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			serve_connection(ctl, fd);
		else if (errno == EMFILE || errno == ENFILE)
			usleep(100000);
	}
	return NULL;
}

/* ---- start and stop ---------------------------------------------------- */

static bool someone_answers(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes = fd >= 0 && (connect(fd, (const struct sockaddr *)sun,
				       sizeof(*sun)) == 0 ||
			       errno == EAGAIN); /* its backlog is full */

	if (fd >= 0)
		close(fd);
	return yes;
}

static void give_to_group(const char *path)
{
	struct group g, *found = NULL;
	char room[4096];

	if (getgrnam_r(OPERATOR_GROUP, &g, room, sizeof(room), &found) != 0 ||
	    found == NULL)
		return;
	/* not a member: the daemon's own group keeps it */
	if (chown(path, (uid_t)-1, found->gr_gid) != 0)
		log_event(LOG_INFO, "control-group",
			  "group=%s cause=\"%s\" effect=\"only the daemon's "
			  "own user and root reach the control socket\"",
			  OPERATOR_GROUP, strerror(errno));
}

static enum err listen_at(const char *path, int *out, char why[256])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(why, 256,
			 "control.path is longer than %zu bytes; choose a "
			 "shorter one",
			 sizeof(sun.sun_path) - 1);
		return ERR_INVAL;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (someone_answers(&sun)) {
		snprintf(why, 256,
			 "another daemon answers at %.150s; stop it, or give "
			 "this one its own control.path",
			 path);
		return ERR_EXISTS;
	}
	/* of one that was killed; never what is not ours to remove */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    chmod(path, 0660) != 0 || listen(fd, CONNECTIONS) != 0) {
		snprintf(why, 256, "cannot listen at %.150s: %s", path,
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	give_to_group(path);
	*out = fd;
	return ERR_OK;
}

enum err control_start(const struct control_options *opt, struct control **out,
		       char why[256])
{
	struct control *ctl = mem_zalloc(sizeof(*ctl));
	enum err e;

	if (ctl == NULL) {
		snprintf(why, 256, "out of memory");
		return ERR_NOMEM;
	}
	ctl->opt = *opt;
	atomic_init(&ctl->owners, 1);
	ctl->started_ms = clock_wall_ms();
	e = listen_at(opt->config->control.path, &ctl->listening, why);
	if (e != ERR_OK) {
		mem_free(ctl);
		return e;
	}
	ctl->stop = eventfd(0, EFD_CLOEXEC);
	if (ctl->stop < 0 ||
	    pthread_create(&ctl->thread, NULL, control_main, ctl) != 0) {
		snprintf(why, 256, "no thread for the control socket: %s",
			 strerror(errno));
		if (ctl->stop >= 0)
			close(ctl->stop);
		close(ctl->listening);
		mem_free(ctl);
		return ERR_IO;
	}
	*out = ctl;
	return ERR_OK;
}

void control_stop(struct control *ctl)
{
	uint64_t one = 1;

	if (ctl == NULL)
		return;
	atomic_store(&ctl->stopping, true);
	if (write(ctl->stop, &one, sizeof(one)) < 0)
		log_event(LOG_ERROR, "control-stop", "cause=\"%s\"",
			  strerror(errno));
	pthread_join(ctl->thread, NULL);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (!ctl->connections[i].used)
			continue;
		shutdown(ctl->connections[i].fd, SHUT_RDWR);
		reap(&ctl->connections[i]);
	}
	unlink(ctl->opt.config->control.path);
	close(ctl->listening);
	close(ctl->stop);
	control_drop(ctl);
}
