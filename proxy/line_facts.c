#include "proxy/line_facts.h"

#include "proxy/net/tcp_facts.h"

#define LOOK_NS 1000000000ULL

bool line_facts_due(const struct line_watch *w, uint64_t now_ns)
{
	return w->looked_ns == 0 || now_ns - w->looked_ns >= LOOK_NS;
}

static void set(atomic_uint_least64_t *to, uint64_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

static uint64_t get(atomic_uint_least64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void line_facts_note(struct line_facts *f, struct line_watch *w,
		     const struct stream_tcp *tcp, uint64_t now_ns)
{
	/* Fewer than before: another connection. */
	uint64_t before =
	    tcp->retransmitted < w->retransmitted ? 0 : w->retransmitted;

	atomic_fetch_add_explicit(&f->retransmitted,
				  tcp->retransmitted - before,
				  memory_order_relaxed);
	w->retransmitted = tcp->retransmitted;
	w->looked_ns = now_ns;
	set(&f->rtt_us, tcp->rtt_us);
	set(&f->rtt_min_us, tcp->rtt_min_us);
	set(&f->pmtu, tcp->pmtu);
	set(&f->looked_ns, now_ns);
}

void line_facts_show(struct line_facts *f, uint64_t now_ns,
		     struct line_shown *out)
{
	uint64_t looked = get(&f->looked_ns);

	*out = (struct line_shown){.rtt_us = get(&f->rtt_us),
				   .rtt_min_us = get(&f->rtt_min_us),
				   .pmtu = get(&f->pmtu),
				   .retransmitted = get(&f->retransmitted),
				   .age_ms = UINT64_MAX};
	if (looked != 0)
		out->age_ms = now_ns > looked ? (now_ns - looked) / 1000000 : 0;
}
