#include "proxy/shaper.h"

#include <pthread.h>

#include "proxy/bucket.h"
#include "proxy/lib/mem.h"

#define MS 1000000ull

/* One limit, one way. */
struct shaper_node {
	_Atomic bool limited;
	struct bucket bucket;
	uint64_t mark;       /* bytes that bulk leaves in the bucket */
	uint64_t frame_ns;   /* a frame takes that long */
	uint64_t bulk_at_ns; /* bulk last passed */
	uint64_t passed;
	struct shaper_limit limit; /* as it was set */
	struct list urgent, bulk;  /* clients, by ticket */
};

struct shaper {
	pthread_mutex_t lock;
	uint64_t ticket;
	size_t n_destinations, n_devices;
	struct shaper_node nodes[]; /* total, destinations, devices; each out
				       and in */
};

/* ---- the tree ---------------------------------------------------------- */

static struct shaper_node *node_at(struct shaper *s, enum shaper_way way,
				   enum shaper_level level, size_t index)
{
	size_t at = 0;

	switch (level) {
	case SHAPER_TOTAL:
		break;
	case SHAPER_DESTINATION:
		at = 1 + index;
		break;
	case SHAPER_DEVICE:
		at = 1 + s->n_destinations + index;
		break;
	}
	return &s->nodes[SHAPER_WAYS * at + way];
}

enum err shaper_new(size_t n_destinations, size_t n_devices,
		    struct shaper **out)
{
	size_t n = SHAPER_WAYS * (1 + n_destinations + n_devices);
	struct shaper *s = mem_zalloc(sizeof(*s) + n * sizeof(s->nodes[0]));

	if (s == NULL)
		return ERR_NOMEM;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->n_destinations = n_destinations;
	s->n_devices = n_devices;
	for (size_t i = 0; i < n; i++) {
		list_init(&s->nodes[i].urgent);
		list_init(&s->nodes[i].bulk);
	}
	*out = s;
	return ERR_OK;
}

void shaper_free(struct shaper *s)
{
	if (s == NULL)
		return;
	(void)pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

static void set_node(struct shaper_node *node, struct shaper_limit limit,
		     uint64_t now_ns)
{
	uint64_t burst =
	    limit.burst > SHAPER_BURST_MIN ? limit.burst : SHAPER_BURST_MIN;

	node->limit = limit;
	bucket_set(&node->bucket, limit.rate, burst, now_ns);
	burst = node->bucket.burst;
	node->mark = burst / 100 * (limit.reserve < 100 ? limit.reserve : 100);
	if (node->mark > burst - SHAPER_FRAME)
		node->mark = burst - SHAPER_FRAME;
	if (limit.rate > 0)
		node->frame_ns = SHAPER_FRAME * 8ull * 1000000000 / limit.rate;
	atomic_store(&node->limited, limit.rate > 0);
}

static bool same(struct shaper_limit a, struct shaper_limit b)
{
	if (a.rate == 0 && b.rate == 0)
		return true;
	return a.rate == b.rate && a.burst == b.burst && a.reserve == b.reserve;
}

bool shaper_set(struct shaper *s, enum shaper_level level, size_t index,
		struct shaper_limit limit, uint64_t now_ns)
{
	bool differs;

	(void)pthread_mutex_lock(&s->lock);
	differs = !same(node_at(s, SHAPER_OUT, level, index)->limit, limit);
	for (int way = 0; differs && way < SHAPER_WAYS; way++)
		set_node(node_at(s, (enum shaper_way)way, level, index), limit,
			 now_ns);
	(void)pthread_mutex_unlock(&s->lock);
	return differs;
}

uint64_t shaper_passed(struct shaper *s, enum shaper_way way,
		       enum shaper_level level, size_t index)
{
	uint64_t n;

	(void)pthread_mutex_lock(&s->lock);
	n = node_at(s, way, level, index)->passed;
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- clients ----------------------------------------------------------- */

void shaper_join(struct shaper_client *c, struct shaper *s, enum shaper_way way,
		 size_t destination, size_t device)
{
	*c = (struct shaper_client){.shaper = s};
	list_init(&c->node);
	if (s == NULL)
		return;
	if (destination != SHAPER_NONE) {
		c->path[0] = node_at(s, way, SHAPER_TOTAL, 0);
		c->path[1] = node_at(s, way, SHAPER_DESTINATION, destination);
	}
	if (device != SHAPER_NONE)
		c->path[2] = node_at(s, way, SHAPER_DEVICE, device);
}

static void unqueue(struct shaper_client *c)
{
	if (c->waits_at != NULL)
		list_remove(&c->node);
	c->waits_at = NULL;
}

void shaper_leave(struct shaper_client *c)
{
	if (c->waits_at == NULL)
		return;
	(void)pthread_mutex_lock(&c->shaper->lock);
	unqueue(c);
	(void)pthread_mutex_unlock(&c->shaper->lock);
}

static bool is_limited(const struct shaper_node *node)
{
	return node != NULL &&
	       atomic_load_explicit(&node->limited, memory_order_relaxed);
}

bool shaper_limits(struct shaper *s, size_t destination)
{
	return s != NULL &&
	       (is_limited(node_at(s, SHAPER_OUT, SHAPER_TOTAL, 0)) ||
		is_limited(
		    node_at(s, SHAPER_OUT, SHAPER_DESTINATION, destination)));
}

bool shaper_is_limited(const struct shaper_client *c)
{
	return is_limited(c->path[0]) || is_limited(c->path[1]) ||
	       is_limited(c->path[2]);
}

/* ---- queues ------------------------------------------------------------ */

static struct shaper_client *client_of(struct list *node)
{
	return CONTAINER_OF(node, struct shaper_client, node);
}

/* It should have asked again long ago: its thread is busy elsewhere. */
static bool is_absent(const struct shaper_client *c, uint64_t now_ns)
{
	return now_ns > c->due_ns && now_ns - c->due_ns > SHAPER_ABSENT_MS * MS;
}

/* Bytes that those with an earlier ticket wait for. */
static uint64_t ahead_in(struct list *queue, const struct shaper_client *c,
			 uint64_t now_ns)
{
	uint64_t sum = 0;

	LIST_EACH(it, tmp, queue)
	{
		const struct shaper_client *other = client_of(it);

		if (other->ticket >= c->ticket)
			break;
		if (!is_absent(other, now_ns))
			sum += other->need;
	}
	return sum;
}

static uint64_t waiting_in(struct list *queue, uint64_t now_ns)
{
	uint64_t sum = 0;

	LIST_EACH(it, tmp, queue)
	{
		const struct shaper_client *other = client_of(it);

		if (!is_absent(other, now_ns))
			sum += other->need;
	}
	return sum;
}

/* The client of bulk that is to go next because none has passed for long;
 * NULL: there is none. */
static struct shaper_client *starving(struct shaper_node *node, uint64_t now_ns)
{
	struct shaper_client *first;
	uint64_t from;

	LIST_EACH(it, tmp, &node->bulk)
	{
		first = client_of(it);
		if (is_absent(first, now_ns))
			continue;
		from = first->since_ns > node->bulk_at_ns ? first->since_ns
							  : node->bulk_at_ns;
		return now_ns > from &&
			       now_ns - from > SHAPER_STARVE * node->frame_ns
			   ? first
			   : NULL;
	}
	return NULL;
}

/* Into the queue of its class there, by ticket. */
static void queue_at(struct shaper_node *node, struct shaper_client *c)
{
	struct list *queue =
	    c->class_ == SHAPER_URGENT ? &node->urgent : &node->bulk;
	struct list *before;

	unqueue(c); /* first: it may be the last of this queue */
	before = queue->prev;
	while (before != queue && client_of(before)->ticket > c->ticket)
		before = before->prev;
	list_push_front(before, &c->node);
	c->waits_at = node;
}

/* ---- asking ------------------------------------------------------------ */

/* What must be left in the bucket besides what c takes. */
static uint64_t to_leave(struct shaper_node *node, struct shaper_client *c,
			 uint64_t now_ns)
{
	const struct shaper_client *next = starving(node, now_ns);

	if (next == c)
		return 0;
	if (c->class_ == SHAPER_URGENT)
		return ahead_in(&node->urgent, c, now_ns) +
		       (next != NULL ? next->need : 0);
	return node->mark + waiting_in(&node->urgent, now_ns) +
	       ahead_in(&node->bulk, c, now_ns);
}

/* Bytes that c may take there; less than its need: *wait_ns is set. */
static uint64_t room_at(struct shaper_node *node, struct shaper_client *c,
			uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t leave = to_leave(node, c, now_ns);
	int64_t level, least = (int64_t)(leave + c->need);
	uint64_t wait;

	bucket_refill(&node->bucket, now_ns);
	level = bucket_level(&node->bucket);
	if (level >= least)
		return (uint64_t)level - leave;
	/* live alone takes more than the limit */
	if (level < 0 && starving(node, now_ns) == c)
		return c->need;
	wait = bucket_wait(&node->bucket, least);
	*wait_ns = wait < SHAPER_SLEEP_MS * MS ? wait : SHAPER_SLEEP_MS * MS;
	return 0;
}

static uint64_t slice_of(const struct shaper_node *node)
{
	uint64_t slice = node->bucket.rate / 8 * SHAPER_SLICE_MS / 1000;

	return slice > SHAPER_FRAME ? slice : SHAPER_FRAME;
}

static void spend(struct shaper_client *c, uint64_t n, uint64_t now_ns)
{
	for (size_t i = 0; i < ARRAY_LEN(c->path); i++) {
		struct shaper_node *node = c->path[i];

		if (!is_limited(node))
			continue;
		bucket_refill(&node->bucket, now_ns);
		bucket_take(&node->bucket, n);
		node->passed += n;
		if (c->class_ == SHAPER_BULK)
			node->bulk_at_ns = now_ns;
	}
}

/* Under the lock. */
static uint64_t try_take(struct shaper_client *c, uint64_t want,
			 uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t grant = want;

	for (size_t i = 0; i < ARRAY_LEN(c->path); i++) {
		struct shaper_node *node = c->path[i];
		uint64_t room, slice;

		if (!is_limited(node))
			continue;
		room = room_at(node, c, now_ns, wait_ns);
		if (room < c->need) {
			queue_at(node, c);
			c->due_ns = now_ns + *wait_ns;
			return 0;
		}
		slice = slice_of(node);
		grant = room < grant ? room : grant;
		grant = slice < grant ? slice : grant;
	}
	unqueue(c);
	spend(c, grant, now_ns);
	return grant;
}

size_t shaper_take(struct shaper_client *c, enum shaper_class class_,
		   size_t want, uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t grant;

	*wait_ns = 0;
	if (!shaper_is_limited(c)) {
		shaper_leave(c);
		return want;
	}
	(void)pthread_mutex_lock(&c->shaper->lock);
	if (c->waits_at != NULL && c->class_ != class_)
		unqueue(c);
	if (c->waits_at == NULL) {
		c->ticket = ++c->shaper->ticket;
		c->since_ns = now_ns;
	}
	c->class_ = class_;
	c->need = want < SHAPER_FRAME ? want : SHAPER_FRAME;
	if (class_ == SHAPER_LIVE) {
		grant = want;
		spend(c, grant, now_ns);
	} else {
		grant = try_take(c, want, now_ns, wait_ns);
	}
	(void)pthread_mutex_unlock(&c->shaper->lock);
	return (size_t)grant;
}

void shaper_return(struct shaper_client *c, size_t n)
{
	if (n == 0 || !shaper_is_limited(c))
		return;
	(void)pthread_mutex_lock(&c->shaper->lock);
	for (size_t i = 0; i < ARRAY_LEN(c->path); i++) {
		if (!is_limited(c->path[i]))
			continue;
		bucket_put(&c->path[i]->bucket, n);
		c->path[i]->passed -=
		    n < c->path[i]->passed ? n : c->path[i]->passed;
	}
	(void)pthread_mutex_unlock(&c->shaper->lock);
}

/* Pay what can be paid. Returns how long until more can. Under the lock. */
static uint64_t pay(struct shaper_client *c, uint64_t now_ns)
{
	uint64_t sum = c->owed, wait = 0;

	for (size_t i = 0; i < ARRAY_LEN(c->path); i++) {
		struct shaper_node *node = c->path[i];
		int64_t level;

		if (!is_limited(node))
			continue;
		bucket_refill(&node->bucket, now_ns);
		level = bucket_level(&node->bucket);
		sum = level <= 0
			  ? 0
			  : ((uint64_t)level < sum ? (uint64_t)level : sum);
	}
	spend(c, sum, now_ns);
	c->owed -= sum;
	for (size_t i = 0; c->owed > 0 && i < ARRAY_LEN(c->path); i++) {
		struct shaper_node *node = c->path[i];
		uint64_t w, next;

		if (!is_limited(node))
			continue;
		next = c->owed < SHAPER_BURST_MIN ? c->owed : SHAPER_BURST_MIN;
		w = bucket_wait(&node->bucket, (int64_t)next);
		wait = w > wait ? w : wait;
	}
	return wait;
}

uint64_t shaper_count(struct shaper_client *c, size_t n, uint64_t now_ns)
{
	uint64_t wait;

	if (!shaper_is_limited(c)) {
		c->owed = 0;
		return 0;
	}
	(void)pthread_mutex_lock(&c->shaper->lock);
	c->class_ = SHAPER_LIVE;
	c->owed += n;
	wait = pay(c, now_ns);
	(void)pthread_mutex_unlock(&c->shaper->lock);
	return wait < SHAPER_SLEEP_MS * MS ? wait : SHAPER_SLEEP_MS * MS;
}
