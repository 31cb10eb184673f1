/* tcp_facts.h - what the kernel knows of a TCP connection. */
#ifndef PROXY_NET_TCP_FACTS_H
#define PROXY_NET_TCP_FACTS_H

#include <stdbool.h>
#include <stdint.h>

struct stream_tcp {
	uint64_t rtt_us, rtt_var_us, rtt_min_us; /* 0: not known */
	uint64_t rate;          /* bytes/s delivered of late; 0: not known */
	uint64_t retransmitted; /* segments, in all */
	uint32_t pmtu, mss;     /* bytes */
	uint32_t unacked;       /* bytes on the line, about */
	uint32_t notsent;       /* bytes in the kernel, not on the line yet */
	char congestion[16];    /* in use: "cubic" */
};

/* Two system calls. False: fd is not a TCP socket. */
bool tcp_facts(int fd, struct stream_tcp *out);

#endif
