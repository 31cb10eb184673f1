/* fill.h - what the files of fill share.
 *
 *   fill.c         arguments
 *   fill_tools.c   chance, time, SQL, the keys of the directory
 *   fill_people.c  devices, destinations, patients
 *   fill_ledger.c  instances and deliveries
 *   fill_sums.c    what the daemon keeps beside them
 *   fill_audit.c   the audit */
#ifndef TESTS_BENCH_FILL_H
#define TESTS_BENCH_FILL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ledger_identity.h"
#include "store/seal.h"

enum {
	DEVICES = 40,
	NAME_LEN = 32,
	NEW_ORIGIN = 300, /* instances of an association */
	DAY_MS = 86400000,
	STATES = 9
};

#define FIRST_SEQ (1ULL << 40)

struct fill_wish {
	const char *dir, *key, *signing_key;
	uint64_t instances, queued, audit, heads, days, seed;
};
extern struct fill_wish wish;

/* ---- fill_tools.c ------------------------------------------------------- */

uint64_t chance(void);
uint64_t below(uint64_t n);
uint64_t now_ms(void);
/* Moment i of n, spread over the days asked for; most of them by day. */
uint64_t time_of(uint64_t i, uint64_t n, uint64_t begin_ms);

extern sqlite3 *db; /* the ledger */
_Noreturn void fail(const char *what);
void run(const char *sql);
sqlite3_stmt *prepare(const char *sql);
void step(sqlite3_stmt *st);
void num(sqlite3_stmt *st, int i, uint64_t v);
void text(sqlite3_stmt *st, int i, const char *v);
void blob(sqlite3_stmt *st, int i, size_t n); /* of chance */
uint64_t highest(const char *sql);

void open_ledger(void);
void close_ledger(void);
/* The data key and the id of the spool it seals; NULL without --key. */
struct seal_key *data_key(void);
const uint8_t *spool_of_ledger(void);

/* ---- fill_people.c ------------------------------------------------------ */

enum modality { CT, MR, US, CR, MG, MODALITIES };
struct modality_facts {
	const char *name, *sop_class;
	uint64_t least, most, length; /* instances of a study, bytes of one */
};
extern const struct modality_facts modalities[MODALITIES];

enum modality modality_of(unsigned device);
/* done: how much of all was made, 0 to 1. */
unsigned pick_device(double done);
void names_of(unsigned device, char name[NAME_LEN], char ae[NAME_LEN]);

enum { CLOUD, SECOND, RESEARCH, DESTINATIONS };
extern const char *const destinations[DESTINATIONS];

/* Patient number n: every third has a Chinese name, and letters for it. */
void identity_of(uint64_t patient, uint64_t accession,
		 struct ledger_identity *out);

/* ---- the parts ---------------------------------------------------------- */

extern uint64_t totals[DESTINATIONS][STATES][2]; /* count, bytes */
extern uint64_t device_sums[DEVICES][3];         /* count, bytes, last */
extern int64_t destination_id[DESTINATIONS];

void fill_instances(void);
void fill_sums(void);
void fill_audit(void);

#endif
