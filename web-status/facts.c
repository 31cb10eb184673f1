#include "web-status/facts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "proxy/lib/clock.h"
#include "proxy/lib/mem.h"
#include "proxy/net/tls_inspect.h"

static struct {
	pthread_mutex_t lock;
	const struct config *of;
	uint64_t read_ns; /* monotonic; 0: never */
	size_t n;
	struct fact_certificate at[FACT_CERTIFICATES_MAX];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(const char *kind, const char *name, const char *path)
{
	struct tls_certificate *c;
	struct fact_certificate *f;
	char why[TLS_WHY_LEN];

	if (path[0] == '\0' || kept.n == FACT_CERTIFICATES_MAX)
		return;
	for (size_t i = 0; i < kept.n; i++)
		if (strcmp(kept.at[i].path, path) == 0)
			return;
	f = &kept.at[kept.n++];
	*f = (struct fact_certificate){0};
	snprintf(f->used_by, sizeof(f->used_by), "%s %s", kind, name);
	snprintf(f->path, sizeof(f->path), "%s", path);
	c = mem_zalloc(sizeof(*c));
	if (c != NULL && tls_certificate_read(path, c, why) == ERR_OK) {
		f->readable = true;
		f->not_after_ms = c->not_after * 1000;
		f->days_left = c->days_left;
		memcpy(f->subject, c->subject, sizeof(f->subject));
	}
	mem_free(c);
}

static int sooner(const void *a, const void *b)
{
	const struct fact_certificate *x = a, *y = b;

	return (x->days_left > y->days_left) - (x->days_left < y->days_left);
}

static void look(const struct config *cfg)
{
	kept.n = 0;
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];

		note("listener", l->name, l->tls.certificate);
		note("listener", l->name, l->tls.ca);
	}
	for (size_t i = 0; i < cfg->n_destinations; i++) {
		const struct config_destination *d = &cfg->destinations[i];

		note("destination", d->name, d->tls.certificate);
		note("destination", d->name, d->tls.ca);
	}
	note("status", "page", cfg->status.tls.certificate);
	note("status", "page", cfg->status.tls.client_ca);
	qsort(kept.at, kept.n, sizeof(kept.at[0]), sooner);
	kept.of = cfg;
	kept.read_ns = clock_mono_ns();
}

size_t facts_certificates(const struct config *cfg,
			  struct fact_certificate *out, size_t cap)
{
	size_t n;

	pthread_mutex_lock(&kept.lock);
	if (kept.of != cfg || kept.read_ns == 0 ||
	    clock_mono_ns() - kept.read_ns > FACT_LOOK_MS * 1000000ULL)
		look(cfg);
	n = kept.n < cap ? kept.n : cap;
	memcpy(out, kept.at, n * sizeof(*out));
	pthread_mutex_unlock(&kept.lock);
	return n;
}

bool facts_disk(const char *path, uint64_t *free_bytes, uint64_t *all_bytes)
{
	struct statvfs v;

	if (statvfs(path, &v) != 0 || v.f_blocks == 0)
		return false;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	*all_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	return true;
}
