/* tcp_facts.c - see tcp_facts.h. The kernel's header knows more of tcp_info
 * than the C library's, and cannot stand beside it. */
#include "proxy/net/tcp_facts.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* An older kernel fills less of it. */
static bool ask_kernel(int fd, struct tcp_info *ti)
{
	socklen_t n = sizeof(*ti);

	memset(ti, 0, sizeof(*ti));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ti, &n) == 0;
}

bool tcp_facts(int fd, struct stream_tcp *out)
{
	socklen_t n = sizeof(out->congestion) - 1;
	struct tcp_info ti;

	if (!ask_kernel(fd, &ti))
		return false;
	*out = (struct stream_tcp){
	    .rtt_us = ti.tcpi_rtt,
	    .rtt_var_us = ti.tcpi_rttvar,
	    .rtt_min_us = ti.tcpi_min_rtt == UINT32_MAX ? 0 : ti.tcpi_min_rtt,
	    .rate = ti.tcpi_delivery_rate,
	    .retransmitted = ti.tcpi_total_retrans,
	    .pmtu = ti.tcpi_pmtu,
	    .mss = ti.tcpi_snd_mss,
	    .unacked = ti.tcpi_unacked * ti.tcpi_snd_mss,
	    .notsent = ti.tcpi_notsent_bytes,
	};
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, out->congestion, &n) !=
	    0)
		out->congestion[0] = '\0';
	return true;
}
