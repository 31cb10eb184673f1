/* now.h - how things stand, gathered once for a page and shown in parts. */
#ifndef WEB_STATUS_NOW_H
#define WEB_STATUS_NOW_H

#include "store/ledger_view.h"
#include "web-status/series.h"
#include "web-status/show.h"
#include "web-status/verdict.h"

enum { NOW_RECENT_MS = 5 * 60 * 1000 };

/* One destination, from the daemon and the ledger. */
struct now_destination {
	const struct config_destination *config;
	const json_t *status; /* NULL: not known */
	const json_t *rate;   /* its limit; NULL: none is configured */
	struct view_destination ledger;
	uint64_t out_bits;                /* now, a second */
	uint64_t drain_bits;              /* of late, a second */
	int64_t rtt_us, retransmits, mtu; /* -1: not known */
};

struct now {
	json_t *status; /* NULL: the daemon does not answer */
	struct ledger_view *ledger;
	const char *why; /* why ledger is NULL */
	struct verdict verdict;
	size_t n_destinations;
	struct now_destination *destinations;
	/* today: instances, bytes, refusals; of "": refusals of all */
	struct figures devices;
	int64_t today_ms; /* since when that is */
	const char *zone; /* whose midnight; "": this machine's, or not known */
};

/* NULL: no memory. now_free() when done; what p lends stays lent. */
struct now *now_gather(const struct page *p);
void now_free(struct now *n);

enum level now_level(const struct now_destination *d, enum word *state);
uint64_t now_queue(const struct now_destination *d);
/* Milliseconds until the queue is empty at the pace of late; 0: it is empty,
 * -1: it cannot be told, or stands. */
int64_t now_drain_ms(const struct now_destination *d);

/* The parts of the page, each within part_begin() and part_end(). */
void now_verdict(const struct page *p, const struct now *n);
void now_destinations(const struct page *p, const struct now *n);
void now_devices(const struct page *p, const struct now *n);
void now_machine(const struct page *p, const struct now *n);
void now_certificates(const struct page *p);
/* The parts of the wall. */
void wall_grid(const struct page *p, const struct now *n);
void wall_foot(const struct page *p, const struct now *n);

/* Figures over time, and the same as tables. */
void now_charts(const struct page *p, const struct now *n);

#endif
