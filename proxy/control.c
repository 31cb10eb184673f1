/* control.c - see control.h. Each connection has a thread. */
#include "proxy/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/limits.h"
#include "proxy/control_int.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"

enum {
	REQUEST_SECONDS = 5, /* for the line that asks */
	FLUSH_MS = 5000,     /* repeats are looked at */
	/* so that one user does not keep all others out */
	ONE_USER = CONTROL_CONNECTIONS / 2,
	/* for root and the status page, however many others come */
	RESERVE = CONTROL_CONNECTIONS / 4,
};

void control_drop(struct control *ctl)
{
	if (atomic_fetch_sub(&ctl->owners, 1) != 1)
		return;
	refusals_free(ctl->refusals);
	mem_free(ctl);
}

/* ---- connections ------------------------------------------------------- */

static void *connection_main(void *arg)
{
	struct control_slot *s = arg;
	struct control_connection *k = &s->k;
	json_t *request = NULL;
	enum err e = control_peer_read(k->opt->config, k->fd, &k->peer);

	if (e == ERR_OK)
		e = control_receive(k->fd, REQUEST_SECONDS, &request);
	if (e == ERR_OK)
		control_dispatch(k, request);
	else if (e == ERR_PROTO || e == ERR_LIMIT)
		control_refuse(k, "not a request: one line with one JSON "
				  "object is wanted");
	json_decref(request);
	/* now, as the descriptor itself is closed when the next one comes */
	shutdown(k->fd, SHUT_RDWR);
	atomic_store(&s->done, true);
	return NULL;
}

static void reap(struct control_slot *s)
{
	pthread_join(s->thread, NULL);
	close(s->k.fd);
	s->used = false;
}

static bool is_own(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* One that is free, unless this user has its share. root's is all. */
static struct control_slot *free_slot(struct control *ctl, uid_t uid)
{
	struct control_slot *found = NULL;
	unsigned same = 0, others = 0;

	for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
		struct control_slot *s = &ctl->slots[i];

		if (s->used && atomic_load(&s->done))
			reap(s);
		if (!s->used) {
			found = s;
			continue;
		}
		same += s->uid == uid;
		others += !is_own(s->uid);
	}
	if ((uid != 0 && same >= ONE_USER) ||
	    (!is_own(uid) && others >= CONTROL_CONNECTIONS - RESERVE))
		return NULL;
	return found;
}

static uid_t user_of(int fd)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	return who.uid;
}

static void serve_connection(struct control *ctl, int fd)
{
	uid_t uid = user_of(fd);
	struct control_slot *s = free_slot(ctl, uid);

	control_deadline(fd);
	if (s == NULL) {
		struct control_connection k = {.control = ctl, .fd = fd};

		control_refuse(&k,
			       "too many requests at once; try again shortly");
		close(fd);
		return;
	}
	s->k = (struct control_connection){
	    .control = ctl, .opt = &ctl->opt, .fd = fd};
	s->uid = uid;
	atomic_store(&s->done, false);
	if (pthread_create(&s->thread, NULL, connection_main, s) != 0) {
		close(fd);
		return;
	}
	s->used = true;
}

static void *control_main(void *arg)
{
	struct control *ctl = arg;
	struct pollfd p[2] = {{.fd = ctl->listening, .events = POLLIN},
			      {.fd = ctl->stop, .events = POLLIN}};

	while (!atomic_load(&ctl->stopping)) {
		int fd, n = poll(p, 2, FLUSH_MS);

		control_refusals_flush(ctl, false);
		if (n <= 0 || (p[0].revents & POLLIN) == 0)
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

static enum err start(struct control *ctl, char why[256])
{
	enum err e = refusals_new(&ctl->refusals);

	if (e != ERR_OK)
		return e;
	e = control_listen(ctl->opt.config->control.path, &ctl->listening, why);
	if (e != ERR_OK)
		return e;
	ctl->stop = eventfd(0, EFD_CLOEXEC);
	if (ctl->stop >= 0 &&
	    pthread_create(&ctl->thread, NULL, control_main, ctl) == 0)
		return ERR_OK;
	snprintf(why, 256, "no thread for the control socket: %s",
		 strerror(errno));
	if (ctl->stop >= 0)
		close(ctl->stop);
	close(ctl->listening);
	return ERR_IO;
}

enum err control_start(const struct control_options *opt, struct control **out,
		       char why[256])
{
	struct control *ctl = mem_zalloc(sizeof(*ctl));
	enum err e;

	snprintf(why, 256, "out of memory");
	if (ctl == NULL)
		return ERR_NOMEM;
	ctl->opt = *opt;
	atomic_init(&ctl->owners, 1);
	ctl->started_ms = clock_wall_ms();
	e = start(ctl, why);
	if (e != ERR_OK) {
		control_drop(ctl);
		return e;
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
	while (write(ctl->stop, &one, sizeof(one)) < 0 && errno == EINTR)
		; /* an eventfd that is not full takes it */
	pthread_join(ctl->thread, NULL);
	for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
		if (!ctl->slots[i].used)
			continue;
		shutdown(ctl->slots[i].k.fd, SHUT_RDWR);
		reap(&ctl->slots[i]);
	}
	control_refusals_flush(ctl, true);
	unlink(ctl->opt.config->control.path);
	close(ctl->listening);
	close(ctl->stop);
	control_drop(ctl);
}
