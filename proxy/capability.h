/* capability.h - what each destination accepts, from memory.
 *
 * Keyed by destination, calling and called AE title, abstract and transfer
 * syntax, because an A-ASSOCIATE-AC names one transfer syntax a context: only
 * one context per pair tells (PS3.8 9.3.3.2). Filled from the ledger at
 * start, by probes, and by every real negotiation; kept in the ledger, so
 * that it stands while a destination is offline.
 *
 * All functions may be called from any thread; a lookup takes a lock for
 * well under a microsecond and never blocks on I/O. Strings are copied. */
#ifndef PROXY_CAPABILITY_H
#define PROXY_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"

struct ledger;
struct capabilities; /* opaque */

enum capability { CAPABILITY_UNKNOWN, CAPABILITY_ACCEPTED, CAPABILITY_REFUSED };

/* All fields borrowed for the call. The AE titles are those used there: after
 * the destination's mapping (destination_aes()). */
struct capability_key {
	const char *destination;
	const char *calling_ae;
	const char *called_ae;
	const char *abstract;
	const char *transfer_syntax;
};

/* A pair of syntaxes to ask for, or found. */
struct capability_pair {
	char abstract[65];
	char transfer_syntax[65];
};

enum { CAPABILITY_MAX = 65536 }; /* entries; beyond: learn and want drop */

/* ledger: what is learnt is written there; NULL keeps it in memory. Borrowed,
 * must outlive the table. ERR_NOMEM. */
enum err capability_new(struct ledger *ledger,
			struct capabilities **out) MUST_CHECK;
void capability_free(struct capabilities *c);

/* Enter a row read from the ledger at start. at_wall_ms: when learnt. */
void capability_load(struct capabilities *c, const struct capability_key *key,
		     bool accepted, int64_t at_wall_ms);

/* This destination takes everything (a directory). */
void capability_always(struct capabilities *c, const char *destination);

/* What is known. *age_ms (may be NULL): since it was last confirmed,
 * UINT64_MAX when unknown. */
enum capability capability_lookup(struct capabilities *c,
				  const struct capability_key *key,
				  uint64_t *age_ms) MUST_CHECK;

/* A device proposes this pair: the prober is to ask when it is unknown or
 * old. Cheap when it is already wanted or fresh. on_want (below) runs at the
 * first new one. */
void capability_want(struct capabilities *c, const struct capability_key *key);

/* A real negotiation answered. */
void capability_learn(struct capabilities *c, const struct capability_key *key,
		      bool accepted);

/* Pairs of one destination and AE pair that are wanted and unknown or older
 * than max_age_ms, at most max, the unknown ones first. Returns how many. */
size_t capability_due(struct capabilities *c, const char *destination,
		      const char *calling_ae, const char *called_ae,
		      uint64_t max_age_ms, struct capability_pair *out,
		      size_t max) MUST_CHECK;

/* AE pairs of a destination for which something is wanted. fn is called
 * without the lock. */
typedef void capability_aes_fn(void *arg, const char *calling_ae,
			       const char *called_ae);
void capability_each_aes(struct capabilities *c, const char *destination,
			 capability_aes_fn *fn, void *arg);

/* Every pair of a destination of which an answer is known. fn runs under the
 * lock: it is quick and calls nothing of this table. */
typedef void capability_each_fn(void *arg, const struct capability_key *key,
				bool accepted, uint64_t age_ms);
void capability_each(struct capabilities *c, const char *destination,
		     capability_each_fn *fn, void *arg);

/* Any accepted or refused pair known for the destination and AE pair? Until
 * first contact the configured list stands in. */
bool capability_contacted(struct capabilities *c, const char *destination,
			  const char *calling_ae,
			  const char *called_ae) MUST_CHECK;

/* fn runs on the thread that wanted something new; it posts and returns. */
typedef void capability_wanted_fn(void *arg);
void capability_on_want(struct capabilities *c, capability_wanted_fn *fn,
			void *arg);

#endif
