#include "proxy/relay_run.h"

enum { KEEP_CAP = 4096 }; /* more than this is given back when it is empty */

void relay_run_init(struct relay_run *r, size_t kept_max)
{
	*r = (struct relay_run){.from = NULL};
	buf_init(&r->kept, kept_max);
}

void relay_run_free(struct relay_run *r)
{
	buf_free(&r->kept);
}

void relay_run_take(struct relay_run *r, const uint8_t *p, size_t n)
{
	if (r->n == 0)
		r->from = p;
	r->n += n;
}

void relay_run_safe(struct relay_run *r)
{
	r->safe = r->n;
	r->kept_safe = buf_len(&r->kept);
}

size_t relay_run_ready(const struct relay_run *r)
{
	return r->kept_safe + r->safe;
}

size_t relay_run_held(const struct relay_run *r)
{
	return buf_len(&r->kept) + r->n;
}

unsigned relay_run_out(const struct relay_run *r, struct iovec iov[2])
{
	unsigned n = 0;

	if (r->kept_safe > 0) {
		iov[n].iov_base = buf_data(&r->kept);
		iov[n++].iov_len = r->kept_safe;
	}
	if (r->safe > 0) {
		iov[n].iov_base = (void *)(uintptr_t)r->from;
		iov[n++].iov_len = r->safe;
	}
	return n;
}

/* An idle association keeps no large buffer. */
static void consume_kept(struct relay_run *r, size_t n)
{
	buf_consume(&r->kept, n);
	r->kept_safe = 0;
	if (buf_len(&r->kept) == 0 && r->kept.cap > KEEP_CAP)
		buf_free(&r->kept);
}

void relay_run_passed(struct relay_run *r)
{
	consume_kept(r, r->kept_safe);
	if (r->safe == 0)
		return;
	r->from += r->safe;
	r->n -= r->safe;
	r->safe = 0;
}

void relay_run_drop(struct relay_run *r)
{
	consume_kept(r, buf_len(&r->kept));
	r->from = NULL;
	r->n = r->safe = 0;
}

enum err relay_run_keep(struct relay_run *r)
{
	enum err e = ERR_OK;

	if (r->n > 0)
		e = buf_append(&r->kept, r->from, r->n);
	if (e == ERR_OK && r->safe > 0)
		r->kept_safe = buf_len(&r->kept) - (r->n - r->safe);
	r->from = NULL;
	r->n = r->safe = 0;
	return e;
}
