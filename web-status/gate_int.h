/* gate_int.h - what gate.c and gate_tls.c share. */
#ifndef WEB_STATUS_GATE_INT_H
#define WEB_STATUS_GATE_INT_H

#include <pthread.h>
#include <uv.h>

#include "proxy/lib/list.h"
#include "proxy/net/listener.h"
#include "web-status/gate.h"
#include "web-status/server_int.h"

enum { GATE_SEEN_MAX = 128, GATE_SEEN_MS = 60 * 60 * 1000 };

/* A certificate and the address it came from lately. */
struct gate_seen {
	char fingerprint[TLS_FINGERPRINT_LEN]; /* "": free */
	char address[ADDRESS_TEXT_LEN];
	uint64_t used_ms;
};

struct web_gate {
	struct web_server *server;
	struct listener *listener; /* NULL: closed */
	struct tls_context *tls;   /* NULL: plain */
	uv_timer_t sweep;
	pthread_mutex_t lock;
	/* Under lock: */
	struct list peers;
	unsigned n_peers;
	unsigned load[WEB_THREADS];
	struct gate_seen seen[GATE_SEEN_MAX];
	/* Loop's thread: */
	uint64_t refused, told; /* connections over a cap; of these on the log
				 */
	uint64_t told_ms;
};

struct web_peer {
	struct list node;
	struct web_gate *gate;
	/* Under the gate's lock: */
	int fd; /* HTTP's; -1: not handed over */
	bool http, stream;
	unsigned thread;
	uint64_t deadline_ms;        /* 0: none */
	struct web_request *request; /* HTTP's thread; NULL: none */
	/* Constant once HTTP has it: */
	bool loopback;
	char address[ADDRESS_TEXT_LEN];
	char bucket[ADDRESS_TEXT_LEN];
	char local[ADDRESS_TEXT_LEN];
	char fingerprint[TLS_FINGERPRINT_LEN];
	char subject[256];
};

/* Give p's socket to HTTP, which closes it in any case. */
void gate_hand_over(struct web_peer *p, int fd);
/* The stream of p has ended; p may be gone. */
void gate_stream_done(struct web_peer *p);

/* gate_tls.c: a stream for fd, which it closes on an error. */
enum err bridge_open(struct web_peer *p, int fd) MUST_CHECK;
/* From status.tls; why goes to the log. */
enum err bridge_context(const struct config *config,
			struct tls_context **out) MUST_CHECK;

#endif
