/* association_record.h - what goes on record about one inbound association:
 * the ledger's rows, the audit rows, and one log line at each end. */
#ifndef PROXY_ASSOCIATION_RECORD_H
#define PROXY_ASSOCIATION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "policy/config.h"
#include "policy/devices.h"
#include "proxy/dicom/assoc.h"
#include "proxy/dicom/command.h"
#include "proxy/net/tls.h"
#include "store/ledger.h"

struct stream;

enum { RECORD_STUDIES = 8 }; /* studies counted apart in one association */

struct association_facts {
	struct ledger_association row;
	struct ledger_association_end end;
	struct sockaddr_storage peer;
	struct {
		char uid[UID_SIZE];
		uint64_t instances, bytes;
	} studies[RECORD_STUDIES];
	size_t n_studies;
	uint64_t more_instances; /* of studies beyond the table */
	bool complained;         /* the first failed request was logged */
	unsigned forbidden;      /* messages that may not be sent */
};

/* Addresses come from the socket. */
void association_facts_init(struct association_facts *f,
			    const struct config_listener *l, int fd);
/* AE titles and implementation, from the request. */
void association_facts_names(struct association_facts *f,
			     const struct assoc *rq);

/* One C-STORE has ended. */
void association_note_store(struct association_facts *f, const char *study,
			    uint64_t bytes, bool stored);
/* A request was refused: the first of an association is a log line. */
void association_note_refusal(struct association_facts *f, uint16_t field,
			      uint16_t status, const char *comment);
/* A message came that may not be sent in its context: the first of an
 * association is a log line and an audit row. from: device or destination. */
void association_note_forbidden(struct association_facts *f,
				struct ledger *ledger, const struct command *rq,
				const char *from);

/* What TLS proved, in the form that policy asks for; NULL for plaintext. The
 * result borrows from *room. */
struct peer_certificate {
	struct tls_info info;
	const char *sans[32];
	struct device_certificate certificate;
};
const struct device_certificate *
association_certificate(const struct stream *s, struct peer_certificate *room);
/* The same, when room->info is filled already. */
const struct device_certificate *
association_certificate_of(struct peer_certificate *room);

/* The association is accepted: f->row gets its id, unless it has one. */
void association_record_begin(struct association_facts *f,
			      struct ledger *ledger, const char *device,
			      const struct assoc *rq, const struct assoc *ac,
			      const struct stream *s);
/* The same of a chunk link, which has no contexts; the device is in the row.
 * info NULL: plaintext. No log line. */
void association_record_link(struct association_facts *f, struct ledger *ledger,
			     const struct tls_info *info);
/* Audit rows of the studies counted so far, which are counted anew. */
void association_record_studies(struct association_facts *f,
				struct ledger *ledger);
/* association_record_end() without the log line. */
void association_record_close(struct association_facts *f,
			      struct ledger *ledger, const char *why,
			      uint64_t duration_ns);
/* It has ended, and why. bytes are those of the stream. */
void association_record_end(struct association_facts *f, struct ledger *ledger,
			    const char *why, uint64_t duration_ns);

#endif
