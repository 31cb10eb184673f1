/* link_conn_kit.h - a worker, a listener, and ends of a chunk link that count
 * what happens to them; or a raw TLS client in place of one. */
#ifndef TESTS_UNIT_LINK_CONN_KIT_H
#define TESTS_UNIT_LINK_CONN_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/buf.h"
#include "proxy/link/conn.h"
#include "proxy/net/listener.h"

/* One end under test. */
struct side {
	struct link_conn *c; /* NULL once closed */
	/* what it answers: 0 is yes */
	uint16_t no_up, no_hello, no_join, no_joined;
	const char *no_text;
	bool bye_in_hello, drop_in_open;
	/* what happened */
	int n_up, n_hello, n_join, n_joined, n_open, n_room, n_silent, n_closed;
	int n_frames, n_data;
	int first_other; /* frames before the first that is not DATA */
	uint64_t data_bytes;
	enum link_type last;
	uint8_t order[64]; /* types of the first frames */
	struct link_hello theirs;
	struct link_terms terms;
	struct link_join join;
	struct link_conn_end end;
	char text[LINK_CONN_TEXT_LEN];
	void (*on_room)(struct side *s);
	uint32_t next; /* for the test */
};

/* A TLS client, or server, that is no Culvert. */
struct raw {
	struct stream *s;
	int n_open, n_closed;
	struct buf got;
	char detail[TLS_WHY_LEN];
};

struct conn_kit {
	struct worker *w;
	struct listener *l;
	struct tls_context *server_ctx, *client_ctx;
	struct link_conn_options server_opts, client_opts;
	struct link_hello server_hello, client_hello;
	struct side server, client;
	struct raw raw;
	bool raw_serves; /* connections to the listener are ck.raw's */
	int live;
};

extern struct conn_kit ck;
extern const struct link_conn_events side_events;

/* Around each test: all is closed, nothing leaks. */
int ck_setup(void **state);
int ck_teardown(void **state);
int ck_group_setup(void **state);
#define CK(t) cmocka_unit_test_setup_teardown(t, ck_setup, ck_teardown)

const char *ck_endpoint(void);
/* ck.client goes to ck.server; ck_both_open() waits until frames pass. */
void ck_dial(void);
void ck_both_open(void);
/* ck.raw goes to ck.server, with that ALPN (NULL: none). */
void ck_raw_dial(const char *alpn);
/* The same, until TLS is up. */
void ck_raw_open(void);
void ck_raw_put(const void *p, size_t n);
void ck_raw_frame(const struct link_frame *f);
/* HELLO was sent and answered; the answer is gone from ck.raw.got. */
void ck_raw_hello(void);
/* The next frame that ck.raw got, of the type or the test fails. Pointers are
 * good until the next call. */
struct link_frame ck_raw_expect(enum link_type type);

void ck_turn(void);
uint64_t ck_now_ms(void);
/* Turns of the loop for so long. */
void ck_run(uint64_t ms);
#define UNTIL(condition)                                                       \
	do {                                                                   \
		uint64_t end_ = ck_now_ms() + 20000;                           \
		while (!(condition)) {                                         \
			if (ck_now_ms() > end_)                                \
				fail_msg("never: %s", #condition);             \
			ck_turn();                                             \
		}                                                              \
	} while (0)

/* Each of the words is in text. */
void ck_says(const char *text, const char *const words[]);
#define SAYS(text, ...) ck_says(text, (const char *const[]){__VA_ARGS__, NULL})

#endif
