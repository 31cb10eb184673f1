/* admission.h - who was let in and how many, who was turned away and why.
 *
 * One object for the whole process. It counts connections and associations
 * against the limits of listeners and devices, and puts every refusal on
 * record: one log line and one audit row for the first of its kind in a
 * minute, a count in the ledger for each. Any thread. */
#ifndef PROXY_ADMISSION_H
#define PROXY_ADMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/limits.h"
#include "proxy/lib/err.h"

struct admission; /* opaque */
struct ledger;

/* Both are borrowed and must outlive it. ERR_NOMEM. */
enum err admission_new(const struct config *cfg, struct ledger *ledger,
		       struct admission **out) MUST_CHECK;
void admission_free(struct admission *a);

/* Limits of another configuration (limits_take()). */
void admission_take(struct admission *a, const struct config *fresh);

/* A TLS handshake begins on a listener. Returns for how many ms no further
 * connection should be accepted there, 0: it may at once. */
uint64_t admission_handshake(struct admission *a, size_t listener);
/* So many connections had to wait for that. The first time in a minute it is
 * logged, further ones are counted. */
void admission_waited(struct admission *a, size_t listener, unsigned n);

/* A connection arrived: takes a place on the listener if it answers
 * LIMIT_PASS, to be given back with admission_leave(). */
enum limit_verdict admission_connect(struct admission *a,
				     size_t listener) MUST_CHECK;
/* The connection is device's: takes a place and a token of the device. */
enum limit_verdict admission_associate(struct admission *a, size_t listener,
				       size_t device) MUST_CHECK;
/* device: -1 unless admission_associate() passed. */
void admission_leave(struct admission *a, size_t listener, int device);

/* The reason of a failed handshake. */
#define REFUSAL_TLS "tls-handshake"

/* Strings are borrowed; they may come from a peer. */
struct refusal_facts {
	size_t listener;        /* index */
	const char *peer;       /* "address:port" */
	const char *calling_ae; /* "" when not known yet */
	const char *called_ae;
	const char *reason; /* fixed word, for counting */
	const char *cause;  /* for a person; NULL: as the catalogue has it */
	const char *remedy; /* the same */
	bool tls; /* a failed handshake: handshakes.h has it in the audit */
};

void admission_refuse(struct admission *a, const struct refusal_facts *f);

/* How many were refused since start: in all, and with an AE title of device
 * (that it called itself so is all that is known of who it was). */
uint64_t admission_refused(const struct admission *a);
uint64_t admission_refused_as(const struct admission *a, size_t device);

/* Report what repeated: call it every few seconds, and with all at the end. */
void admission_flush(struct admission *a, bool all);

#endif
