/* ledger_fixture.h - a spool and a ledger in a directory of their own. */
#ifndef TESTS_UNIT_LEDGER_FIXTURE_H
#define TESTS_UNIT_LEDGER_FIXTURE_H

#include <pthread.h>

#include "store/ledger.h"
#include "store/ledger_view.h"

struct fixture {
	char dir[64];    /* removed by fixture_free() */
	char ledger[96]; /* dir/ledger.db */
	struct spool_options spool_options;
	struct ledger_options ledger_options;
	struct spool *spool;
	struct ledger *l;
	pthread_mutex_t mutex;
	uint64_t hints; /* deliveries told by on_queued */
};

/* Directory only. */
void fixture_init(struct fixture *f);
void fixture_open_spool(struct fixture *f);
void fixture_open_ledger(struct fixture *f);
void fixture_open(struct fixture *f); /* both */
void fixture_close_ledger(struct fixture *f);
void fixture_close(struct fixture *f); /* both */
void fixture_free(struct fixture *f);  /* closes, removes the directory */

/* A valid instance for one destination, "cloud"; uid makes it unique. */
struct instance fixture_instance(unsigned uid);
/* Put it with n bytes of data; the id of what is now durable. */
struct transfer_id fixture_put(struct fixture *f, const struct instance *in,
			       size_t n);
/* n instances of 100 bytes, the first with number from. */
void fixture_put_many(struct fixture *f, unsigned from, unsigned n);
void fixture_outcome(struct fixture *f, const struct transfer_id *id,
		     enum outcome_kind kind, const char *destination);
void fixture_redirect(struct fixture *f, const struct transfer_id *id,
		      const char *from, const char *to);
/* Outcomes written before are durable, and everything is in the ledger. */
void fixture_settle(struct fixture *f);
/* ledger_barrier() only. */
void fixture_barrier(struct fixture *f);

struct fixture_items {
	enum err e;
	size_t n;
	struct ledger_item items[LEDGER_FETCH_MAX];
	struct ledger_cursor next;
	bool end;
	int64_t next_due_ms;
};
/* ledger_fetch() and wait. */
void fixture_fetch(struct fixture *f, const struct ledger_query *q,
		   struct fixture_items *out);
/* Everything queued for destination, from the start. */
void fixture_queued(struct fixture *f, const char *destination,
		    struct fixture_items *out);
/* n places from the start. Returns how many; fails the test on errors. */
size_t fixture_places(struct fixture *f, uint64_t seq, struct place *out,
		      unsigned n);

/* One integer from ledger.db, or from name in the directory. Repeats while
 * the file is being rebuilt. */
int64_t fixture_sql(struct fixture *f, const char *sql);
int64_t fixture_sql_in(struct fixture *f, const char *name, const char *sql);
/* Wait at most a minute until sql gives want. */
void fixture_await(struct fixture *f, const char *sql, int64_t want);
struct sqlite3;
/* Begin a transaction that keeps the ledger from writing; it may be at it just
 * now, so wait at most 20 s. */
void fixture_lock(struct sqlite3 *db);
/* Does any file in the directory hold these bytes? */
bool fixture_grep(struct fixture *f, const char *bytes);
/* Is there a file whose name begins with prefix? */
bool fixture_has(struct fixture *f, const char *prefix);

#endif
