/* line_conn.h - the connections that share the emulated line. */
#ifndef TESTS_BENCH_LINE_CONN_H
#define TESTS_BENCH_LINE_CONN_H

#include "tests/bench/line_fault.h"
#include "tests/bench/line_queue.h"

#include <netinet/in.h>
#include <poll.h>

enum {
	LINE_CONNECTIONS = 500,
	LINE_CUTS = 1024, /* that are told in detail */
	LINE_PORTS = 16,
};

/* Who connects to the one is connected to the other. */
struct line_port {
	int listener;
	struct sockaddr_in to;
};

/* What a cut found on the line. */
struct line_cut {
	uint64_t at;                 /* ns */
	uint64_t inside[LINE_WAYS];  /* entered, not arrived */
	uint64_t waiting[LINE_WAYS]; /* of these, not yet sent */
	uint64_t due[LINE_WAYS];     /* arrived, not taken by the peer */
	uint64_t connections;
};

struct line {
	/* the caller's */
	struct line_port ports[LINE_PORTS];
	size_t n_ports;
	int buffer; /* bytes of socket buffers; 0: the kernel's */
	struct line_queue queues[LINE_WAYS];
	struct line_faults faults;
	/* its own */
	struct line_conn *connections[LINE_CONNECTIONS];
	size_t top;             /* none from here on */
	size_t turn[LINE_WAYS]; /* who may enter next */
	struct line_cut cuts[LINE_CUTS];
	uint64_t n_cuts, accepted;
	bool still;
};

uint64_t line_now(void);

void line_accept(struct line *l, const struct line_port *port);

/* Everything that is to happen by now: arrivals, entries, faults. */
void line_move(struct line *l, uint64_t now);

/* Reset (RST) all connections at both ends; what is on the line is lost. */
void line_cut_all(struct line *l, uint64_t now);

/* What to wait for, from f[0] on; returns how many. */
nfds_t line_watch(const struct line *l, struct pollfd *f);

/* When line_move() has something to do, whatever the sockets do. */
uint64_t line_next(const struct line *l);

#endif
