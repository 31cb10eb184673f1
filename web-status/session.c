#include "web-status/session.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/lib/mem.h"

struct slot {
	bool used;
	char token[WEB_TOKEN_LEN];
	struct session session;
	uint64_t began_ms, seen_ms;
};

struct sessions {
	pthread_mutex_t lock;
	uint64_t idle_ms, lifetime_ms;
	uint64_t next_id;
	struct slot slots[SESSIONS_MAX];
};

enum err token_make(char out[WEB_TOKEN_LEN])
{
	uint8_t bytes[(WEB_TOKEN_LEN - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return ERR_IO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	mem_wipe(bytes, sizeof(bytes));
	return ERR_OK;
}

bool token_same(const char *a, const char *b)
{
	size_t n = strlen(a);
	unsigned char differ = 0;

	if (n == 0 || strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return differ == 0;
}

struct sessions *sessions_new(uint64_t idle_ms, uint64_t lifetime_ms)
{
	struct sessions *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->idle_ms = idle_ms;
	s->lifetime_ms = lifetime_ms;
	return s;
}

void sessions_free(struct sessions *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

static void drop(struct slot *k)
{
	mem_wipe(k, sizeof(*k));
}

/* Ends it when its time is over. */
static bool valid(struct sessions *s, struct slot *k, uint64_t now)
{
	if (!k->used)
		return false;
	if (now - k->began_ms < s->lifetime_ms && now - k->seen_ms < s->idle_ms)
		return true;
	drop(k);
	return false;
}

/* A free one; else the one longest unused. name: among that user's only, and
 * NULL unless he has SESSIONS_PER_USER. */
static struct slot *place(struct sessions *s, uint64_t now, const char *name)
{
	struct slot *oldest = NULL, *room = NULL;
	unsigned own = 0;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct slot *k = &s->slots[i];

		if (!valid(s, k, now)) {
			room = k;
			continue;
		}
		if (name != NULL && strcmp(k->session.user.name, name) != 0)
			continue;
		own++;
		if (oldest == NULL || k->seen_ms < oldest->seen_ms)
			oldest = k;
	}
	if (name != NULL)
		return own >= SESSIONS_PER_USER ? oldest : NULL;
	return room != NULL ? room : oldest;
}

enum err sessions_begin(struct sessions *s, uint64_t now_ms,
			const struct user *who, uint64_t stamp,
			char token[WEB_TOKEN_LEN])
{
	struct slot fresh = {
	    .used = true, .began_ms = now_ms, .seen_ms = now_ms};
	struct slot *k;

	if (token_make(fresh.token) != ERR_OK ||
	    token_make(fresh.session.csrf) != ERR_OK)
		return ERR_IO;
	fresh.session.user = *who;
	fresh.session.stamp = stamp;
	pthread_mutex_lock(&s->lock);
	k = place(s, now_ms, who->name);
	if (k == NULL)
		k = place(s, now_ms, NULL);
	fresh.session.id = ++s->next_id;
	*k = fresh;
	pthread_mutex_unlock(&s->lock);
	memcpy(token, fresh.token, WEB_TOKEN_LEN);
	mem_wipe(&fresh, sizeof(fresh));
	return ERR_OK;
}

bool sessions_find(struct sessions *s, uint64_t now_ms, const char *token,
		   struct session *out)
{
	struct slot *found = NULL;

	pthread_mutex_lock(&s->lock);
	/* all of them, whichever it is */
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct slot *k = &s->slots[i];

		if (valid(s, k, now_ms) && token_same(k->token, token))
			found = k;
	}
	if (found != NULL) {
		found->seen_ms = now_ms;
		if (out != NULL)
			*out = found->session;
	}
	pthread_mutex_unlock(&s->lock);
	return found != NULL;
}

static struct slot *by_id(struct sessions *s, uint64_t now_ms, uint64_t id)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct slot *k = &s->slots[i];

		if (valid(s, k, now_ms) && k->session.id == id)
			return k;
	}
	return NULL;
}

bool sessions_alive(struct sessions *s, uint64_t now_ms, uint64_t id)
{
	bool yes;

	pthread_mutex_lock(&s->lock);
	yes = by_id(s, now_ms, id) != NULL;
	pthread_mutex_unlock(&s->lock);
	return yes;
}

void sessions_end(struct sessions *s, uint64_t id)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (s->slots[i].used && s->slots[i].session.id == id)
			drop(&s->slots[i]);
	pthread_mutex_unlock(&s->lock);
}

unsigned sessions_count(struct sessions *s, uint64_t now_ms)
{
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		n += valid(s, &s->slots[i], now_ms);
	pthread_mutex_unlock(&s->lock);
	return n;
}
