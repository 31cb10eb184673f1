#include "tests/unit/fake_scp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/fake_wire.h"

#undef NDEBUG

enum { KEEP = 4 * 1024 * 1024 };

struct link {
	struct fake_scp *f;
	int fd;
	unsigned number;
	char classes[256][65]; /* by context id */
	struct fake_store now;
	size_t cap;
	uint8_t command[65536];
	size_t n_command;
	uint16_t message_id;
	bool storing;
	bool asked; /* the request of our own was sent */
};

/* ---- association ------------------------------------------------------- */

/* Answer one item 20 of the request. */
static size_t put_context(struct link *l, uint8_t *out, const uint8_t *p,
			  size_t n)
{
	uint8_t body[128] = {p[0], 0, 0, 0};
	const uint8_t *end = p + n, *q = p + 4, *ts = NULL;
	size_t ts_len = 0;

	for (; q < end; q += 4 + wire_be16(q + 2)) {
		if (q[0] == 0x30)
			wire_text(l->classes[p[0]], 65, q + 4,
				  wire_be16(q + 2));
		else if (ts == NULL) {
			ts = q + 4;
			ts_len = wire_be16(q + 2);
		}
	}
	if (atomic_load(&l->f->refuse) &&
	    strcmp(l->f->refuse_class, l->classes[p[0]]) == 0)
		body[2] = 3;
	n = wire_item(body + 4, 0x40, ts, ts_len);
	return wire_item(out, 0x21, body, 4 + n);
}

/* Answer an item 54 among the user information. */
static size_t put_role(struct link *l, uint8_t *out, const uint8_t *p, size_t n)
{
	struct fake_scp *f = l->f;
	int how = atomic_load(&f->on_role);
	uint8_t body[128];

	f->n_roles++;
	f->role_scu = p[n - 2];
	f->role_scp = p[n - 1];
	if (how == FAKE_ROLE_OMIT || n > sizeof(body))
		return 0;
	memcpy(body, p, n);
	if (how == FAKE_ROLE_REFUSE)
		body[n - 2] = body[n - 1] = 0;
	return wire_item(out, 0x54, body, n);
}

static size_t put_roles(struct link *l, uint8_t *out, const uint8_t *p,
			size_t n)
{
	size_t len = 0;

	for (size_t at = 0; at + 4 <= n; at += 4 + wire_be16(p + at + 2)) {
		if (p[at] == 0x54)
			len += put_role(l, out + len, p + at + 4,
					wire_be16(p + at + 2));
	}
	return len;
}

static void send_accept(struct link *l, const uint8_t *rq, size_t n)
{
	static const uint8_t user[] = "\x52\0\0\x03"
				      "1.2";
	uint8_t *out = calloc(1, 65536);
	uint8_t info[4096] = {0x51, 0, 0, 4};
	size_t len = 6, at = 68, roles = 0;
	uint32_t max = htonl(l->f->max_pdu);

	l->f->n_roles = 0;
	memcpy(out + 6, rq, 68);
	len += 68;
	while (at + 4 <= n) {
		size_t k = wire_be16(rq + at + 2);

		if (rq[at] == 0x10)
			len += wire_item(out + len, 0x10, rq + at + 4, k);
		else if (rq[at] == 0x20)
			len += put_context(l, out + len, rq + at + 4, k);
		else if (rq[at] == 0x50)
			roles = put_roles(l, info + 8 + sizeof(user) - 1,
					  rq + at + 4, k);
		at += 4 + k;
	}
	memcpy(info + 4, &max, 4);
	memcpy(info + 8, user, sizeof(user) - 1);
	len += wire_item(out + len, 0x50, info, 8 + sizeof(user) - 1 + roles);
	out[0] = 2;
	max = htonl((uint32_t)len - 6);
	memcpy(out + 2, &max, 4);
	wire_tx(l->fd, out, len);
	free(out);
}

static bool on_rq(struct link *l, const uint8_t *body, size_t n)
{
	struct fake_scp *f = l->f;
	enum fake_on_rq how = (enum fake_on_rq)atomic_load(&f->on_rq);
	uint8_t rj[10] = {
	    3, 0, 0, 0, 0, 4, 0, f->reject[0], f->reject[1], f->reject[2]};
	uint8_t byte;

	pthread_mutex_lock(&f->lock);
	wire_text(f->called, 17, body + 4, 16);
	wire_text(f->calling, 17, body + 20, 16);
	if (f->reject_calling[0] != '\0' &&
	    strcmp(f->reject_calling, f->calling) == 0)
		how = FAKE_REJECT;
	pthread_mutex_unlock(&f->lock);
	switch (how) {
	case FAKE_ACCEPT:
		send_accept(l, body, n);
		return true;
	case FAKE_REJECT:
		wire_tx(l->fd, rj, sizeof(rj));
		(void)wire_rx(l->fd, &byte, 1);
		return false;
	case FAKE_SILENT_RQ:
		while (wire_rx(l->fd, &byte, 1))
			;
		return false;
	case FAKE_GARBAGE_RQ:
		wire_tx(l->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		while (wire_rx(l->fd, &byte, 1))
			;
		return false;
	case FAKE_CLOSE_RQ:
		break;
	}
	return false;
}

/* ---- messages ---------------------------------------------------------- */

static void respond(struct link *l, uint8_t context, uint16_t field,
		    uint16_t status)
{
	uint8_t out[256] = {4};
	size_t n = 12;
	uint32_t len;

	n += wire_us(out + n, 0x0100, field | 0x8000);
	n += wire_us(out + n, 0x0120, l->message_id);
	n += wire_us(out + n, 0x0800, 0x0101);
	n += wire_us(out + n, 0x0900, status);
	if (status >= 0xA000)
		n += wire_element(out + n, 0x0902, "because", 8);
	if (l->f->error_id != 0)
		n += wire_us(out + n, 0x0903, (uint16_t)l->f->error_id);
	len = htonl((uint32_t)n - 6);
	memcpy(out + 2, &len, 4);
	len = htonl((uint32_t)n - 10);
	memcpy(out + 6, &len, 4);
	out[10] = context;
	out[11] = 3;
	wire_tx(l->fd, out, n);
}

/* ---- its own request --------------------------------------------------- */

static void send_pdv(struct link *l, uint8_t context, uint8_t flags,
		     const uint8_t *p, size_t n)
{
	uint8_t head[12] = {4};
	uint32_t len = htonl((uint32_t)n + 6);

	memcpy(head + 2, &len, 4);
	len = htonl((uint32_t)n + 2);
	memcpy(head + 6, &len, 4);
	head[10] = context;
	head[11] = flags;
	wire_tx(l->fd, head, sizeof(head));
	wire_tx(l->fd, p, n);
}

static size_t put_uid(uint8_t *out, uint16_t element, const char *uid)
{
	char even[66] = "";
	size_t n = strlen(uid);

	memcpy(even, uid, n);
	return wire_element(out, element, even, n + n % 2);
}

static void ask(struct link *l, uint8_t context)
{
	const struct fake_ask *a = &l->f->ask;
	bool half = atomic_load(&a->when) == FAKE_HALF;
	uint8_t out[512];
	size_t n = 0;

	l->asked = true;
	n += put_uid(out + n, 0x0002, a->sop_class);
	n += wire_us(out + n, 0x0100, a->field);
	n += wire_us(out + n, 0x0110, 4711);
	n += wire_us(out + n, 0x0800, a->data != NULL ? 0 : 0x0101);
	n += put_uid(out + n, 0x1000, a->sop_instance);
	n += wire_us(out + n, 0x1002, a->type);
	send_pdv(l, context, 3, out, n);
	for (size_t at = 0; a->data != NULL && at < a->length;) {
		size_t k = a->length - at < 4096 ? a->length - at : 4096;

		at += k;
		send_pdv(l, context, at == a->length && !half ? 2 : 0,
			 a->data + at - k, k);
	}
}

static void ask_when(struct link *l, uint8_t context, enum fake_when now)
{
	if (!l->asked && atomic_load(&l->f->ask.when) == (int)now)
		ask(l, context);
}

/* Is it the answer to that? */
static bool is_answer(struct link *l)
{
	const uint8_t *p = l->command, *end = p + l->n_command;
	struct fake_answer a = {.mixed = l->storing};

	for (; p + 8 <= end; p += 8 + wire_le32(p + 4)) {
		uint16_t element = wire_le16(p + 2);
		size_t n = wire_le32(p + 4);

		if (element == 0x0100)
			a.field = wire_le16(p + 8);
		else if (element == 0x0120)
			a.responded_id = wire_le16(p + 8);
		else if (element == 0x0900)
			a.status = wire_le16(p + 8);
		else if (element == 0x1002)
			a.type = wire_le16(p + 8);
		else if (element == 0x0002)
			wire_text(a.sop_class, 65, p + 8, n);
		else if (element == 0x1000)
			wire_text(a.sop_instance, 65, p + 8, n);
		else if (element == 0x0902)
			wire_text(a.comment, 65, p + 8, n);
	}
	if ((a.field & 0x8000) == 0)
		return false;
	l->n_command = 0;
	pthread_mutex_lock(&l->f->lock);
	l->f->answer = a;
	pthread_mutex_unlock(&l->f->lock);
	l->f->n_answers++;
	return true;
}

/* ---- requests ---------------------------------------------------------- */

static void parse_command(struct link *l, uint16_t *field)
{
	const uint8_t *p = l->command, *end = p + l->n_command;
	struct fake_store *s = &l->now;

	for (; p + 8 <= end; p += 8 + wire_le32(p + 4)) {
		uint16_t element = wire_le16(p + 2);
		size_t n = wire_le32(p + 4);

		if (element == 0x0100)
			*field = wire_le16(p + 8);
		else if (element == 0x0110)
			l->message_id = wire_le16(p + 8);
		else if (element == 0x0002 || element == 0x0003)
			wire_text(s->sop_class, 65, p + 8, n);
		else if (element == 0x1000 || element == 0x1001)
			wire_text(s->sop_instance, 65, p + 8, n);
		else if (element == 0x1002 || element == 0x1008)
			s->type = wire_le16(p + 8);
		else if (element == 0x0800)
			s->no_data = wire_le16(p + 8) == 0x0101;
		else if (element == 0x0700)
			s->priority = wire_le16(p + 8);
		else if (element == 0x1030) {
			wire_text(s->originator, 17, p + 8, n);
			s->has_originator = true;
		} else if (element == 0x1031)
			s->originator_id = wire_le16(p + 8);
		if (element == 0x0003)
			s->requested = true;
	}
	s->field = *field;
	l->n_command = 0;
}

static void busy(struct fake_scp *f, const char *uid, bool on)
{
	unsigned n = 1;
	bool done = false;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < 64; i++) {
		bool same = strcmp(f->busy[i], uid) == 0;

		if (on && same)
			n++;
		if (!done && (on ? f->busy[i][0] == '\0' : same)) {
			(void)snprintf(f->busy[i], 65, "%s", on ? uid : "");
			done = true;
		}
	}
	if (n > f->at_once)
		f->at_once = n;
	pthread_mutex_unlock(&f->lock);
}

static void record(struct link *l)
{
	struct fake_scp *f = l->f;

	pthread_mutex_lock(&f->lock);
	if (f->n_stores < FAKE_MAX) {
		l->now.association = l->number;
		f->stores[f->n_stores] = l->now;
		f->n_stores++;
	} else {
		free(l->now.bytes);
	}
	pthread_mutex_unlock(&f->lock);
	l->now = (struct fake_store){0};
	l->cap = 0;
}

static bool is_bad(const struct link *l)
{
	return l->f->bad_instance[0] != '\0' &&
	       strcmp(l->f->bad_instance, l->now.sop_instance) == 0;
}

static enum fake_on_store behaviour(const struct link *l)
{
	return (enum fake_on_store)(is_bad(l) ? atomic_load(&l->f->on_bad)
					      : atomic_load(&l->f->on_store));
}

static void cut_all(struct fake_scp *f)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < 256; i++) {
		if (f->fds[i] >= 0)
			shutdown(f->fds[i], SHUT_RDWR);
	}
	pthread_mutex_unlock(&f->lock);
}

static void forget(struct link *l)
{
	free(l->now.bytes);
	l->now = (struct fake_store){0};
	l->cap = 0;
}

/* The data set is complete. False: the association ends. */
static bool stored(struct link *l, uint8_t context)
{
	struct fake_scp *f = l->f;
	unsigned status = is_bad(l) ? f->bad_status : f->status;
	enum fake_on_store how = behaviour(l);
	uint16_t field = l->now.field;
	uint8_t byte;

	l->storing = false;
	busy(f, l->now.sop_instance, false);
	if (f->delay_ms > 0)
		usleep(f->delay_ms * 1000);
	if (how != FAKE_ANSWER && how != FAKE_EARLY) {
		forget(l);
	}
	switch (how) {
	case FAKE_ANSWER:
		if (status < 0xA000 && status != 0x0110)
			record(l);
		else
			forget(l);
		ask_when(l, context, FAKE_BEFORE);
		respond(l, context, field, (uint16_t)status);
		ask_when(l, context, FAKE_AFTER);
		ask_when(l, context, FAKE_HALF);
		return true;
	case FAKE_EARLY:
		forget(l);
		return true;
	case FAKE_ABORT:
		wire_tx(l->fd, "\x07\0\0\0\0\x04\0\0\0\0", 10);
		return false;
	case FAKE_SILENT:
		while (wire_rx(l->fd, &byte, 1))
			;
		return false;
	case FAKE_GARBAGE:
		wire_tx(l->fd, "\x99\0\0\0\0\x04oops", 10);
		while (wire_rx(l->fd, &byte, 1))
			;
		return false;
	case FAKE_CRASH:
		cut_all(f);
		break;
	case FAKE_CLOSE:
	case FAKE_STOP_READING:
		break;
	}
	return false;
}

static void keep(struct link *l, const uint8_t *p, size_t n)
{
	struct fake_store *s = &l->now;

	if (n > 0 && s->length + n <= KEEP) {
		while (l->cap < s->length + n) {
			l->cap = l->cap == 0 ? 65536 : l->cap * 2;
			s->bytes = realloc(s->bytes, l->cap);
		}
		memcpy(s->bytes + s->length, p, n);
	}
	s->length += n;
	atomic_fetch_add(&l->f->data_bytes, n);
}

static bool on_pdv(struct link *l, const uint8_t *p, size_t n)
{
	uint8_t context = p[0], flags = p[1];
	uint16_t field = 0;

	p += 2;
	n -= 2;
	if ((flags & 1) != 0) {
		memcpy(l->command + l->n_command, p, n);
		l->n_command += n;
		if ((flags & 2) == 0 || is_answer(l))
			return true;
		parse_command(l, &field);
		if (field == 0x30) {
			l->f->echoes++;
			respond(l, context, field, 0);
		} else {
			l->storing = true;
			busy(l->f, l->now.sop_instance, true);
			if (l->now.no_data)
				return stored(l, context);
		}
		return true;
	}
	if (n % 2 != 0 && (flags & 2) == 0)
		l->now.odd = true;
	if (l->now.length == 0 && behaviour(l) == FAKE_EARLY)
		respond(l, context, 1, (uint16_t)l->f->status);
	keep(l, p, n);
	if ((flags & 2) == 0)
		ask_when(l, context, FAKE_DURING);
	return (flags & 2) == 0 || stored(l, context);
}

static bool on_pdata(struct link *l, const uint8_t *p, size_t n)
{
	if (n > l->now.largest)
		l->now.largest = (uint32_t)n;
	while (n >= 6) {
		size_t k = wire_be32(p);

		if (!on_pdv(l, p + 4, k))
			return false;
		p += 4 + k;
		n -= 4 + k;
	}
	return true;
}

static bool on_pdu(struct link *l, uint8_t type, const uint8_t *body, size_t n)
{
	switch (type) {
	case 1:
		return on_rq(l, body, n);
	case 4:
		return on_pdata(l, body, n);
	case 5:
		l->f->releases++;
		wire_tx(l->fd, "\x06\0\0\0\0\x04\0\0\0\0", 10);
		return false;
	case 7:
		l->f->aborts++;
		return false;
	default:
		return false;
	}
}

static bool one(struct link *l)
{
	uint8_t head[6], *body;
	uint32_t n;
	bool ok;

	if (l->storing && behaviour(l) == FAKE_STOP_READING) {
		while (recv(l->fd, head, 1, MSG_PEEK) > 0 &&
		       atomic_load(&l->f->on_store) == FAKE_STOP_READING)
			usleep(1000);
		return false;
	}
	if (!wire_rx(l->fd, head, 6))
		return false;
	n = wire_be32(head + 2);
	body = malloc(n + 1);
	ok = wire_rx(l->fd, body, n) && on_pdu(l, head[0], body, n);
	free(body);
	return ok;
}

static void *link_main(void *arg)
{
	struct link *l = arg;
	struct fake_scp *f = l->f;

	while (one(l))
		;
	if (l->storing)
		busy(f, l->now.sop_instance, false);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < 256; i++) {
		if (f->fds[i] == l->fd)
			f->fds[i] = -1;
	}
	close(l->fd);
	pthread_mutex_unlock(&f->lock);
	free(l->now.bytes);
	f->open--;
	free(l);
	return NULL;
}

static void *fake_main(void *arg)
{
	struct fake_scp *f = arg;
	pthread_attr_t detached;
	int fd;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
		struct link *l = calloc(1, sizeof(*l));
		pthread_t thread;

		l->f = f;
		l->fd = fd;
		l->number = ++f->associations;
		f->open++;
		pthread_mutex_lock(&f->lock);
		for (size_t i = 0; i < 256; i++) {
			if (f->fds[i] == -1) {
				f->fds[i] = fd;
				break;
			}
		}
		pthread_mutex_unlock(&f->lock);
		pthread_create(&thread, &detached, link_main, l);
	}
	pthread_attr_destroy(&detached);
	return NULL;
}

void fake_start(struct fake_scp *f, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(port)};
	socklen_t len = sizeof(sin);
	int on = 1, ok;

	if (f->stores == NULL) {
		f->stores = calloc(FAKE_MAX, sizeof(*f->stores));
		pthread_mutex_init(&f->lock, NULL);
	}
	for (size_t i = 0; i < 256; i++)
		f->fds[i] = -1;
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ok = bind(f->listener, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	     listen(f->listener, 64) == 0 &&
	     getsockname(f->listener, (struct sockaddr *)&sin, &len) == 0;
	if (!ok)
		abort();
	f->port = ntohs(sin.sin_port);
	pthread_create(&f->thread, NULL, fake_main, f);
}

void fake_stop(struct fake_scp *f)
{
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
	while (f->open > 0) {
		cut_all(f);
		usleep(1000);
	}
}

void fake_free(struct fake_scp *f)
{
	for (size_t i = 0; i < f->n_stores; i++)
		free(f->stores[i].bytes);
	free(f->stores);
	pthread_mutex_destroy(&f->lock);
}
