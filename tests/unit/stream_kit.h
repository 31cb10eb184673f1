/* stream_kit.h - a worker, a listener on its loop and two ends that count what
 * happens to them. */
#ifndef TESTS_UNIT_STREAM_KIT_H
#define TESTS_UNIT_STREAM_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/net/listener.h"
#include "proxy/net/stream.h"

enum { KIT_KEEP = 1 << 23 };

/* One end under test: what happened to it. */
struct peer {
	struct stream *s; /* NULL once closed */
	int n_open, n_eof, n_drain, n_closed;
	enum err why;
	char detail[TLS_WHY_LEN];
	uint8_t *got; /* KIT_KEEP bytes */
	size_t have;
	bool echo;
	/* called first thing in each event, if set */
	void (*probe)(struct peer *p, const char *event);
	const char *probe_at;
};

struct stream_kit {
	struct worker *w;
	struct listener *l;
	struct tls_context *server_ctx, *client_ctx;
	struct stream_options server_opts, client_opts;
	struct peer server, client;
	int raw; /* a plain socket of the test, or -1 */
	int live;
};

extern struct stream_kit kit;
extern const struct stream_events kit_events; /* of a struct peer */

/* Around each test: both ends are closed, nothing leaks. */
int kit_plain(void **state);
int kit_tls(void **state);
int kit_teardown(void **state);
int kit_group_setup(void **state);

#define PLAIN(t)                                                               \
	{                                                                      \
		"plain: " #t, t, kit_plain, kit_teardown, NULL                 \
	}
#define TLS(t)                                                                 \
	{                                                                      \
		"tls: " #t, t, kit_tls, kit_teardown, NULL                     \
	}
#define BOTH(t) PLAIN(t), TLS(t)

/* kit.l, whose streams are kit.server; one at a time. */
void kit_listen(void);
/* Where it listens, as text. */
const char *kit_endpoint(void);
/* kit.client goes to endpoint; kit_both_open() waits until both are open. */
void kit_dial(const char *endpoint);
void kit_both_open(void);
/* kit.raw, connected to a stream of the server. */
void kit_raw_open(void);
/* Both are closed: forget what happened to them. */
void kit_forget(void);

/* Some 200 microseconds; at least a minute before UNTIL gives up. */
void kit_turn(void);
void kit_turns(int n);
#define UNTIL(condition)                                                       \
	do {                                                                   \
		for (int i_ = 0; !(condition); i_++) {                         \
			if (i_ > 300000)                                       \
				fail_msg("never: %s", #condition);             \
			kit_turn();                                            \
		}                                                              \
	} while (0)

void kit_put(struct peer *p, const void *b, size_t n);
/* n bytes that depend on their place; the caller frees them. */
uint8_t *kit_pattern(size_t n);
/* p has got n bytes of it, no others. */
void kit_is_pattern(const struct peer *p, size_t n);

#endif
