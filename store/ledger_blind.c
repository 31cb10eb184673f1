#include "store/ledger_blind.h"

#include <string.h>

#include "proxy/lib/mem.h"
#include "store/ledger_in.h"
#include "store/spool.h"

static const char purpose[] = "culvert ledger search 1";

enum err ledger_blind_key(const struct seal_key *key, const uint8_t *spool,
			  struct seal_mac **out)
{
	return seal_mac_new(key, spool, SPOOL_ID_LEN, purpose, out);
}

/* Leading and trailing spaces do not count (PS3.5 6.2, LO and SH); case does
 * there, but people type either. */
static size_t normalize(const char *text, size_t n, uint8_t *out)
{
	while (n > 0 && text[n - 1] == ' ')
		n--;
	while (n > 0 && *text == ' ') {
		text++;
		n--;
	}
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		out[i] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	}
	return n;
}

/* 0 is kept for what has no value. */
static int64_t number_of(const uint8_t code[SEAL_HASH_LEN])
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | code[i];
	return v != 0 ? (int64_t)v : 1;
}

enum err ledger_blind(const struct seal_mac *m, enum search_identifier kind,
		      const char *text, int64_t *out)
{
	uint8_t in[1 + BLIND_TEXT_MAX], code[SEAL_HASH_LEN];
	size_t n = strlen(text);
	enum err e;

	if (n > BLIND_TEXT_MAX)
		return ERR_LIMIT;
	in[0] = (uint8_t)kind;
	n = normalize(text, n, in + 1);
	*out = 0;
	if (n == 0)
		return ERR_OK;
	e = seal_mac(m, in, 1 + n, code);
	mem_wipe(in, sizeof(in));
	if (e == ERR_OK)
		*out = number_of(code);
	return e;
}

enum err ledger_blind_series(const struct seal_mac *m,
			     const struct ledger_identity *id,
			     struct blind *out)
{
	enum err e =
	    ledger_blind(m, SEARCH_ACCESSION, id->accession, &out->accession);

	if (e == ERR_OK)
		e = ledger_blind(m, SEARCH_PATIENT, id->patient_id,
				 &out->patient);
	return e;
}

enum err ledger_search_key(struct ledger *l, enum search_identifier kind,
			   const char *text, int64_t *key)
{
	return ledger_blind(l->mac, kind, text, key);
}

/* ---- series of older releases ------------------------------------------- */

enum { FILL_ROWS = 500 };

static void bind_blind(sqlite3_stmt *st, int i, int64_t value)
{
	if (value != 0)
		db_bind_int(st, i, value);
	else
		(void)sqlite3_bind_null(st, i);
}

void ledger_bind_blind(sqlite3_stmt *st, int i, const struct blind *b)
{
	bind_blind(st, i, b->accession);
	bind_blind(st, i + 1, b->patient);
}

/* What does not open has no value. */
static enum err fill_row(struct ledger *l, int64_t id, const uint8_t *sealed,
			 size_t len)
{
	sqlite3_stmt *st = l->st[ST_BLIND_SET];
	struct ledger_identity identity;
	struct blind b;
	enum err e = ledger_identity_open(l->seal, sealed, len, &identity);

	if (e != ERR_OK)
		return e == ERR_CORRUPT ? ERR_OK : e;
	e = ledger_blind_series(l->mac, &identity, &b);
	mem_wipe(&identity, sizeof(identity));
	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, id);
	ledger_bind_blind(st, 2, &b);
	return db_run(st);
}

static enum err fill_note(struct ledger *l, int64_t unready)
{
	sqlite3_stmt *st = l->st[ST_BLIND_NOTE];

	l->m.unready = unready;
	db_bind_int(st, 1, unready);
	return db_run(st);
}

enum err ledger_blind_fill(struct ledger *l)
{
	sqlite3_stmt *st = l->st[ST_BLIND_NEXT];
	int64_t next = 0;
	bool row;
	unsigned n = 0;
	enum err e;

	if (l->m.unready == 0)
		return ERR_OK;
	e = ledger_begin(l);
	if (e != ERR_OK)
		return e;
	db_bind_int(st, 1, l->m.unready);
	db_bind_int(st, 2, FILL_ROWS);
	e = db_row(st, &row);
	while (e == ERR_OK && row) {
		next = sqlite3_column_int64(st, 0) - 1;
		n++;
		e = fill_row(l, next + 1, sqlite3_column_blob(st, 1),
			     (size_t)sqlite3_column_bytes(st, 1));
		if (e == ERR_OK)
			e = db_row(st, &row);
	}
	(void)sqlite3_reset(st);
	l->batch++;
	return e == ERR_OK ? fill_note(l, n == FILL_ROWS ? next : 0) : e;
}
