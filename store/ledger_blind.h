/* ledger_blind.h - identifiers that can be found although they are sealed.
 *
 * Beside the sealed identity of a series stand two numbers, made of its
 * accession number and patient id under a key that only the daemon can derive.
 * Who reads the database sees that two series share a value, and no more: not
 * the value, nor, without the data key, whether it is one that he guesses. */
#ifndef STORE_LEDGER_BLIND_H
#define STORE_LEDGER_BLIND_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "store/ledger_identity.h"
#include "store/ledger_search.h"
#include "store/seal_mac.h"

enum { BLIND_TEXT_MAX = 128 };

/* The key of a spool's ledger; free with seal_mac_free(). ERR_NOMEM, ERR_IO. */
enum err ledger_blind_key(const struct seal_key *key, const uint8_t *spool,
			  struct seal_mac **out) MUST_CHECK;

/* See ledger_search_key(). */
enum err ledger_blind(const struct seal_mac *m, enum search_identifier kind,
		      const char *text, int64_t *out) MUST_CHECK;

/* Both values of a series; 0: it has none. ERR_IO: library failure. */
struct blind {
	int64_t accession, patient;
};
enum err ledger_blind_series(const struct seal_mac *m,
			     const struct ledger_identity *id,
			     struct blind *out) MUST_CHECK;

#endif
