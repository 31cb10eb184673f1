/* Both ends of a transfer, as their tables have them, joined by a line that may
 * be cut at any moment, with stores that fail, restart, or are lost. Every
 * state that can be reached is looked at. One transfer of one chunk; the line
 * keeps order and holds up to LINE frames each way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/link/link_fsm.h"

enum { LINE = 2, MAX_STATES = 1 << 20, MAX_EDGES = 1 << 22 };

enum to_rx { R_OFFER = 1, R_DATA, R_ROOT, R_WITHDRAW, R_QUERY, R_NOTED };
enum to_tx {
	T_HAVE = 1, /* of nothing */
	T_HAVE_CHUNK,
	T_ACK,
	T_BAD,
	T_ARRIVED,
	T_DELIVERED,
	T_UNDELIVERED,
	T_REFUSED,
	T_AFRESH,
	T_GONE,
};

/* All that can differ; compared as bytes. */
struct world {
	uint8_t tx, rx;
	uint8_t up;        /* a link is open */
	uint8_t sent;      /* tx: the chunk is sent (or there) and the root */
	uint8_t have_root; /* rx, of this link */
	uint8_t gathered;  /* rx: the chunk is there, not durable */
	uint8_t chunk;     /* rx: the chunk is durable */
	uint8_t delivered; /* the archive has it */
	uint8_t freed;     /* tx freed its bytes */
	uint8_t gave_up;   /* tx withdrew or quarantined */
	uint8_t new_epoch; /* rx took one; tx has not heard */
	uint8_t mishaps;   /* that were not peers or line: bounded */
	uint8_t right[LINE], left[LINE]; /* frames under way, oldest first */
};

static struct world *seen;
static uint32_t *table; /* hash -> index + 1 */
static uint32_t *parent;
static size_t n_seen;

/* What happens by itself, without a mishap or a cut: from, to. */
static uint32_t (*edges)[2];
static size_t n_edges;
static bool benign;

static uint64_t hash_of(const struct world *w)
{
	const uint8_t *p = (const uint8_t *)w;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < sizeof(*w); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ h >> 29;
}

static uint32_t here; /* the world being left */

static uint32_t index_of(const struct world *w)
{
	size_t at = hash_of(w) % (2 * MAX_STATES);

	while (table[at] != 0) {
		if (memcmp(&seen[table[at] - 1], w, sizeof(*w)) == 0)
			return table[at] - 1;
		at = (at + 1) % (2 * MAX_STATES);
	}
	assert_true(n_seen < MAX_STATES);
	seen[n_seen] = *w;
	parent[n_seen] = here;
	table[at] = (uint32_t)++n_seen;
	return table[at] - 1;
}

static void reach(const struct world *w)
{
	uint32_t to = index_of(w);

	if (!benign || to == here)
		return;
	assert_true(n_edges < MAX_EDGES);
	edges[n_edges][0] = here;
	edges[n_edges++][1] = to;
}

static void show(const struct world *w)
{
	print_message("tx %s rx %s up %d sent %d chunk %d right %d %d left %d "
		      "%d mishaps %d\n",
		      link_tx_state_name(w->tx), link_rx_state_name(w->rx),
		      w->up, w->sent, w->chunk, w->right[0], w->right[1],
		      w->left[0], w->left[1], w->mishaps);
}

static void explain(const struct world *w, uint32_t at)
{
	show(w);
	for (unsigned i = 0; i < 40 && at != 0; i++, at = parent[at])
		show(&seen[at]);
}

#define MUST(cond, w)                                                          \
	do {                                                                   \
		if (!(cond))                                                   \
			explain((w), here);                                    \
		assert_true(cond);                                             \
	} while (0)

/* False: no room on the line, so this cannot happen yet. */
static bool put(uint8_t line[LINE], uint8_t frame)
{
	for (size_t i = 0; i < LINE; i++)
		if (line[i] == 0) {
			line[i] = frame;
			return true;
		}
	return false;
}

static uint8_t take(uint8_t line[LINE])
{
	uint8_t frame = line[0];

	memmove(line, line + 1, LINE - 1);
	line[LINE - 1] = 0;
	return frame;
}

/* ---- what an end does ---- */

static bool say(struct world *w, uint8_t frame)
{
	return !w->up || put(w->right, frame); /* no link: said when it opens */
}

static bool tx_do(struct world *w, enum link_tx_action action, uint8_t frame)
{
	switch (action) {
	case LINK_TX_DO_OFFER:
		w->sent = 0;
		return say(w, R_OFFER);
	case LINK_TX_DO_TAKE_MAP:
		w->sent = frame == T_HAVE_CHUNK ? w->sent | 1 : w->sent & 2;
		return true;
	case LINK_TX_DO_ACKED:
		w->sent |= 1;
		return true;
	case LINK_TX_DO_RESEND:
		w->sent &= 2;
		return true;
	case LINK_TX_DO_NOTED:
		MUST(w->delivered, w); /* the promise */
		w->freed = 1;
		return say(w, R_NOTED);
	case LINK_TX_DO_AGAIN_NOTED:
		return say(w, R_NOTED);
	case LINK_TX_DO_ASK:
		return say(w, R_QUERY);
	case LINK_TX_DO_QUARANTINE:
	case LINK_TX_DO_WITHDRAW:
		w->gave_up = 1;
		return say(w, R_WITHDRAW);
	case LINK_TX_DO_TOO_LATE:
		w->gave_up = 0;
		return true;
	case LINK_TX_DO_DROP:
		MUST(w->gave_up || w->tx == LINK_TX_DONE, w);
		return true;
	case LINK_TX_DO_FINISH:
	case LINK_TX_DO_ARRIVE:
	case LINK_TX_DO_SHOW:
	case LINK_TX_DO_SETTLE:
	case LINK_TX_DO_REQUEUE:
	case LINK_TX_DO_REFUSE:
	case LINK_TX_DO_IGNORE:
		return true;
	case LINK_TX_DO_NONE:
	case LINK_TX_N_ACTIONS:
		break;
	}
	return false;
}

static void tx_event(struct world w, enum link_tx_event ev, uint8_t frame)
{
	struct link_tx_step step = link_tx_step(w.tx, ev);

	if (step.action == LINK_TX_DO_NONE) {
		MUST(frame == 0, &w); /* no frame meets an empty cell */
		return;
	}
	if (ev == LINK_TX_EV_WITHDRAW)
		w.gave_up = 1;
	w.tx = (uint8_t)step.next;
	if (tx_do(&w, step.action, frame))
		reach(&w);
}

static bool tell(struct world *w, uint8_t frame)
{
	return !w->up || put(w->left, frame); /* no link: nobody hears it */
}

static bool rx_do(struct world *w, enum link_rx_action action)
{
	switch (action) {
	case LINK_RX_DO_TELL_HAVE:
		return tell(w, w->chunk ? T_HAVE_CHUNK : T_HAVE);
	case LINK_RX_DO_REFUSE:
		w->have_root = w->gathered = 0;
		return tell(w, T_REFUSED);
	case LINK_RX_DO_TAKE:
		w->gathered = !w->chunk;
		return true;
	case LINK_RX_DO_TAKE_ROOT:
		w->have_root = 1;
		return true;
	case LINK_RX_DO_TELL_ACK:
		w->gathered = 0;
		w->chunk = 1;
		return tell(w, T_ACK);
	case LINK_RX_DO_TAKE_BACK:
		w->new_epoch = 1;
		w->gathered = w->chunk = 0;
		return tell(w, T_BAD);
	case LINK_RX_DO_TELL_BAD:
		w->gathered = w->chunk = 0;
		return tell(w, T_BAD);
	case LINK_RX_DO_TELL_ARRIVED:
		MUST(w->chunk, w);
		return tell(w, T_ARRIVED);
	case LINK_RX_DO_TELL_STUCK:
		return tell(w, T_UNDELIVERED);
	case LINK_RX_DO_TELL_DELIVERED:
		MUST(w->delivered, w);
		return tell(w, T_DELIVERED);
	case LINK_RX_DO_TELL_UNKNOWN:
	case LINK_RX_DO_EXPIRE:
		return tell(w, T_AFRESH);
	case LINK_RX_DO_CANCEL:
		return tell(w, T_GONE);
	case LINK_RX_DO_KEEP:
		w->have_root = w->gathered = 0;
		return true;
	case LINK_RX_DO_DECIDE:
	case LINK_RX_DO_COMPLETE:
	case LINK_RX_DO_FORGET:
	case LINK_RX_DO_IGNORE:
		return true;
	case LINK_RX_DO_NONE:
	case LINK_RX_N_ACTIONS:
		break;
	}
	return false;
}

static void rx_event(struct world w, enum link_rx_event ev, bool frame)
{
	struct link_rx_step step = link_rx_step(w.rx, ev);

	if (step.action == LINK_RX_DO_NONE) {
		MUST(!frame, &w);
		return;
	}
	w.rx = (uint8_t)step.next;
	if (ev == LINK_RX_EV_EXPIRED && step.action == LINK_RX_DO_FORGET)
		w.new_epoch = 1;
	if (step.next == LINK_RX_UNKNOWN)
		w.have_root = w.gathered = w.chunk = 0;
	if (rx_do(&w, step.action))
		reach(&w);
}

/* ---- what can happen ---- */

static void frames_come(const struct world *from)
{
	static const enum link_rx_event rx[] = {
	    [R_OFFER] = LINK_RX_EV_RX_OFFER,
	    [R_DATA] = LINK_RX_EV_RX_DATA,
	    [R_ROOT] = LINK_RX_EV_RX_ROOT,
	    [R_WITHDRAW] = LINK_RX_EV_RX_WITHDRAW,
	    [R_QUERY] = LINK_RX_EV_RX_QUERY,
	    [R_NOTED] = LINK_RX_EV_RX_NOTED,
	};
	static const enum link_tx_event tx[] = {
	    [T_HAVE] = LINK_TX_EV_RX_HAVE,
	    [T_HAVE_CHUNK] = LINK_TX_EV_RX_HAVE,
	    [T_ACK] = LINK_TX_EV_RX_ACK,
	    [T_BAD] = LINK_TX_EV_RX_BAD,
	    [T_ARRIVED] = LINK_TX_EV_RX_ARRIVED,
	    [T_DELIVERED] = LINK_TX_EV_RX_DELIVERED,
	    [T_UNDELIVERED] = LINK_TX_EV_RX_UNDELIVERED,
	    [T_REFUSED] = LINK_TX_EV_RX_REFUSED,
	    [T_AFRESH] = LINK_TX_EV_RX_AFRESH,
	    [T_GONE] = LINK_TX_EV_RX_GONE,
	};
	struct world w = *from;
	uint8_t frame;

	if (w.right[0] != 0) {
		frame = take(w.right);
		rx_event(w, rx[frame], true);
	}
	w = *from;
	if (w.left[0] != 0) {
		frame = take(w.left);
		tx_event(w, tx[frame], frame);
		benign = false;
		if (frame == T_BAD)
			tx_event(w, LINK_TX_EV_THIRD_BAD, 0);
	}
}

static void sender_acts(const struct world *from)
{
	struct world w = *from;

	if (w.up)
		tx_event(w, LINK_TX_EV_GO, 0);
	if (w.up && w.tx == LINK_TX_SENDING) {
		w.sent |= 1;
		if ((from->sent & 1) == 0 && put(w.right, R_DATA))
			reach(&w);
		w = *from;
		w.sent |= 2;
		if ((from->sent & 2) == 0 && put(w.right, R_ROOT))
			reach(&w);
		w = *from;
		if (w.sent == 3)
			tx_event(w, LINK_TX_EV_ALL_SENT, 0);
	}
	tx_event(w, LINK_TX_EV_WRITTEN, 0);
	tx_event(w, LINK_TX_EV_RETRY, 0);
	benign = false;
	if (w.mishaps > 0) {
		w.mishaps--;
		tx_event(w, LINK_TX_EV_WITHDRAW, 0);
	}
}

static void receiver_acts(const struct world *from)
{
	struct world w = *from;

	rx_event(w, LINK_RX_EV_TAKEN, false);
	if (w.gathered && w.rx == LINK_RX_RECEIVING)
		rx_event(w, LINK_RX_EV_CHUNK_DURABLE, false);
	if (w.chunk && w.have_root && w.rx == LINK_RX_RECEIVING)
		rx_event(w, LINK_RX_EV_WHOLE, false);
	rx_event(w, LINK_RX_EV_FINAL_DURABLE, false);
	if (w.rx == LINK_RX_ARRIVED) {
		w.delivered = 1;
		rx_event(w, LINK_RX_EV_OUT_DONE, false);
		w = *from;
	}
	benign = false;
	if (w.mishaps == 0)
		return;
	w.mishaps--;
	rx_event(w, LINK_RX_EV_PUT_OFF, false);
	rx_event(w, LINK_RX_EV_DECLINED, false);
	rx_event(w, LINK_RX_EV_STORE_FAILED, false);
	rx_event(w, LINK_RX_EV_OUT_STUCK, false);
	rx_event(w, LINK_RX_EV_EXPIRED, false);
	if (w.gathered)
		rx_event(w, LINK_RX_EV_CHUNK_BAD, false);
	if (w.chunk && w.rx != LINK_RX_COMPLETING)
		rx_event(w, LINK_RX_EV_CHUNK_LOST, false);
	if (w.chunk && w.have_root && w.rx == LINK_RX_RECEIVING)
		rx_event(w, LINK_RX_EV_WRONG_ROOT, false);
}

/* Both ends are told; the sender's state is then as its table says. */
static struct world cut(struct world w)
{
	struct link_tx_step t = link_tx_step(w.tx, LINK_TX_EV_LOST);
	struct link_rx_step r = link_rx_step(w.rx, LINK_RX_EV_LOST);

	MUST(t.action != LINK_TX_DO_NONE && r.action != LINK_RX_DO_NONE, &w);
	memset(w.right, 0, sizeof(w.right));
	memset(w.left, 0, sizeof(w.left));
	w.up = 0;
	w.sent = 0;
	w.tx = (uint8_t)t.next;
	w.rx = (uint8_t)r.next;
	(void)rx_do(&w, r.action);
	return w;
}

static void line_acts(const struct world *from)
{
	struct world w = *from;
	struct link_rx_step r;
	struct link_tx_step t;

	if (w.up) {
		w = cut(w);
		reach(&w);
		return;
	}
	w.up = 1;
	t = link_tx_step(w.tx, w.new_epoch ? LINK_TX_EV_VOID : LINK_TX_EV_UP);
	r = link_rx_step(w.rx, LINK_RX_EV_UP);
	if (t.action == LINK_TX_DO_NONE || r.action == LINK_RX_DO_NONE)
		MUST(false, &w);
	w.new_epoch = 0;
	w.tx = (uint8_t)t.next;
	w.rx = (uint8_t)r.next;
	MUST(tx_do(&w, t.action, 0) && rx_do(&w, r.action), &w);
	reach(&w);
}

static void ends_restart(const struct world *from)
{
	struct world w = cut(*from);

	/* A sender that comes back knows only that it is not done. */
	if (w.tx != LINK_TX_DONE && w.tx != LINK_TX_NEW)
		w.tx = LINK_TX_WAITING;
	reach(&w);
	w = cut(*from);
	if (w.rx == LINK_RX_COMPLETING)
		w.rx = LINK_RX_KEPT;
	w.new_epoch = 1;
	reach(&w);
	if (w.mishaps == 0)
		return;
	w.mishaps--; /* the receiver's store is wiped */
	w.rx = LINK_RX_UNKNOWN;
	w.chunk = w.have_root = w.gathered = 0;
	w.new_epoch = 1;
	reach(&w);
}

static void explore(const struct world *start)
{
	n_seen = n_edges = 0;
	here = 0;
	benign = false;
	memset(table, 0, 2 * (size_t)MAX_STATES * sizeof(*table));
	reach(start);
	for (uint32_t i = 0; i < n_seen; i++) {
		struct world w = seen[i];

		here = i;
		benign = true;
		frames_come(&w);
		benign = true;
		sender_acts(&w);
		benign = true;
		receiver_acts(&w);
		benign = !w.up;
		line_acts(&w);
		benign = false;
		ends_restart(&w);
	}
}

/* Worlds from which an end is reached by what happens by itself. */
static bool *can_end(void)
{
	bool *good = calloc(n_seen, sizeof(*good));
	bool changed = true;

	assert_non_null(good);
	for (size_t i = 0; i < n_seen; i++)
		good[i] = seen[i].tx == LINK_TX_DONE;
	while (changed) {
		changed = false;
		for (size_t i = n_edges; i-- > 0;)
			if (!good[edges[i][0]] && good[edges[i][1]])
				changed = good[edges[i][0]] = true;
	}
	return good;
}

static const struct world start = {
    .tx = LINK_TX_NEW, .rx = LINK_RX_UNKNOWN, .mishaps = 2};

/* The checks are inside: bytes are freed only when the archive has them, what
 * is dropped was given up, no frame meets an empty cell. */
static void nothing_is_freed_before_it_is_delivered(void **state)
{
	size_t freed = 0, given_up = 0;

	(void)state;
	explore(&start);
	for (size_t i = 0; i < n_seen; i++) {
		freed += seen[i].freed;
		given_up += seen[i].tx == LINK_TX_DONE && !seen[i].freed;
		assert_true(!seen[i].freed || seen[i].delivered);
		assert_true(seen[i].tx != LINK_TX_DONE || seen[i].freed ||
			    seen[i].gave_up);
	}
	assert_true(freed > 0 && given_up > 0);
	print_message("%zu worlds\n", n_seen);
}

static void every_transfer_can_come_to_its_end(void **state)
{
	bool *good;

	(void)state;
	explore(&start);
	good = can_end();
	for (uint32_t i = 0; i < n_seen; i++) {
		if (!good[i])
			explain(&seen[i], parent[i]);
		assert_true(good[i]);
	}
	free(good);
}

static void every_state_is_reached(void **state)
{
	bool tx[LINK_TX_N_STATES] = {false}, rx[LINK_RX_N_STATES] = {false};

	(void)state;
	explore(&start);
	for (size_t i = 0; i < n_seen; i++)
		tx[seen[i].tx] = rx[seen[i].rx] = true;
	for (size_t i = 0; i < LINK_TX_N_STATES; i++)
		assert_true(tx[i]);
	for (size_t i = 0; i < LINK_RX_N_STATES; i++)
		assert_true(rx[i]);
}

static int setup(void **state)
{
	(void)state;
	seen = malloc(MAX_STATES * sizeof(*seen));
	parent = malloc(MAX_STATES * sizeof(*parent));
	table = malloc(2 * (size_t)MAX_STATES * sizeof(*table));
	edges = malloc(MAX_EDGES * sizeof(*edges));
	return seen == NULL || parent == NULL || table == NULL || edges == NULL
		   ? -1
		   : 0;
}

static int teardown(void **state)
{
	(void)state;
	free(seen);
	free(parent);
	free(table);
	free(edges);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_freed_before_it_is_delivered),
	    cmocka_unit_test(every_transfer_can_come_to_its_end),
	    cmocka_unit_test(every_state_is_reached),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
