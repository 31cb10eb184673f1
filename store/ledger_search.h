/* ledger_search.h - finding transfers and studies in a ledger of any size.
 *
 * Works on a ledger_view: read-only, one thread, one short transaction a call,
 * and the same errors. Rows come by callback, newest first, a page at a time;
 * go on from a place of the page before. A place stays good while rows come and
 * go.
 *
 * How it stays quick. Studies, accession numbers and patients have indexes by
 * series, what is not finished has one by state. For all else the ledger notes
 * for each block of 1024 sequence numbers when it came, and which devices, AE
 * titles, destinations and final states are in it; a search steps over blocks
 * that cannot hold a match and looks through those that may. One call looks
 * through a bounded number of rows: with a filter that hardly anything fits, a
 * page may come back short (search_page.cut), and the next one goes on. */
#ifndef STORE_LEDGER_SEARCH_H
#define STORE_LEDGER_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/ledger_view.h"

/* Which way from a place. Rows come newest first either way. */
enum search_way { SEARCH_OLDER, SEARCH_NEWER };

struct search_page {
	/* Where to go on for what is older (newer); 0: nothing is, or was when
	 * it was looked. A page without rows leads back to where it began. */
	uint64_t older, newer;
	unsigned rows; /* given to the callback */
	bool cut;      /* the bound was met: there may be more that way */
};

/* ---- transfers ---------------------------------------------------------- */

/* Zero, NULL or "": any. All that are given must fit. */
struct search_filter {
	int64_t from_ms; /* received then or later */
	int64_t to_ms;   /* received before */
	const char *device;
	const char *calling_ae;
	const char *destination;
	const char *study;
	int64_t accession; /* ledger_search_key(), as is the next */
	int64_t patient;
	bool has_state;
	enum delivery_state state;

	enum search_way way;
	uint64_t place; /* of a page; 0: from the newest (oldest) */
	unsigned limit; /* 1..LEDGER_PAGE_MAX */
};

/* Deliveries of instances and messages, by arrival, the newest first. */
enum err ledger_search(struct ledger_view *v, const struct search_filter *f,
		       view_delivery_fn *fn, void *arg,
		       struct search_page *page) MUST_CHECK;

/* ---- studies ------------------------------------------------------------ */

struct view_study {
	char study[65];
	int64_t first_ms, last_ms; /* received, of its instances */
	uint64_t instances;        /* received; one sent twice counts twice */
	uint64_t bytes;
	unsigned series;
	char modality[33];   /* "CT", "CT/SR", ... */
	char device[33];     /* that sent its first instance */
	char calling_ae[17]; /* likewise */
	/* So many that count is only of the first of them. */
	bool partly_counted;
	uint64_t count[DELIVERY_N_STATES]; /* deliveries */
};
typedef bool view_study_fn(void *arg, const struct view_study *s);

/* Zero, NULL or "": any. The times are of a study's first instance. */
struct study_filter {
	int64_t from_ms, to_ms;
	const char *device; /* that sent its first instance */
	const char *study;
	int64_t accession, patient;

	enum search_way way;
	uint64_t place;
	unsigned limit; /* 1..SEARCH_STUDIES_MAX */
};
enum { SEARCH_STUDIES_MAX = 100 };

/* By the arrival of a study's first instance, the newest first. */
enum err ledger_search_studies(struct ledger_view *v,
			       const struct study_filter *f, view_study_fn *fn,
			       void *arg, struct search_page *page) MUST_CHECK;

/* What an outgoing association of a destination was protected with. */
struct view_outgoing {
	uint64_t association; /* 0: none is known */
	char peer[64];
	char tls_version[16]; /* "": plaintext */
	char tls_suite[64];
	char tls_group[32];
	char fingerprint[65];
	char subject[LEDGER_TEXT_LEN];
};
/* out: the last one to its destination that was open when the delivery changed
 * its state for the last time. With several at once it may have gone over
 * another: to the same destination, under the same rules. association is 0 for
 * what has not been sent, and for directories. */
typedef bool view_study_delivery_fn(void *arg, const struct view_delivery *d,
				    const struct view_outgoing *out);

/* Every instance of a study with its deliveries, in order of arrival. after: of
 * the last row seen, 0: first page. An unknown study has no rows. */
enum err ledger_search_study(struct ledger_view *v, const char *study,
			     uint64_t after, unsigned limit,
			     view_study_delivery_fn *fn, void *arg) MUST_CHECK;

/* ---- everything, in order ------------------------------------------------ */

struct scan {
	int64_t from_ms, to_ms; /* when it was received; 0: open */
	unsigned limit;         /* as of a search */
	uint64_t after;         /* the last row given; 0: from the first on */
	bool ended;             /* there are no more */
};

/* The deliveries of these times, the oldest first, a page at each call. fn
 * false ends the page. Other filters than times: ledger_search(). Errors as
 * there. */
enum err ledger_scan(struct ledger_view *v, struct scan *s,
		     view_delivery_fn *fn, void *arg) MUST_CHECK;

/* ---- identifiers, by the daemon only --------------------------------------
 */

enum search_identifier { SEARCH_ACCESSION = 1, SEARCH_PATIENT = 2 };

/* The value that stands in the ledger for an accession number or patient id: 64
 * bits of HMAC-SHA256, under a key derived from the data key, so that only who
 * has that key can ask. Spaces around it and the case of ASCII letters do not
 * count. 0: there is nothing left of it, and nothing is found. Two identifiers
 * have the same value once in 2^64: who must be sure opens the seal.
 *
 * Any thread, quick. ERR_LIMIT: longer than 128 bytes; ERR_IO: library failure.
 */
enum err ledger_search_key(struct ledger *l, enum search_identifier kind,
			   const char *text, int64_t *key) MUST_CHECK;

/* Series written by a release before this one get their values in the
 * background, the newest first, some hundred a second; until then they are not
 * found by identifier. How many are left, about; 0: all can be found. */
enum err ledger_search_unready(struct ledger_view *v,
			       uint64_t *series) MUST_CHECK;

#endif
