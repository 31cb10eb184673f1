/* ledger_subject.h - an instance and its deliveries while something is done to
 * them. Private to store/ledger*.c. */
#ifndef STORE_LEDGER_SUBJECT_H
#define STORE_LEDGER_SUBJECT_H

#include "store/ledger_in.h"

enum { NO_SEGMENT = -1 };

struct delivery {
	uint64_t id;
	int64_t destination;
	enum delivery_state state;
	int32_t priority;
	uint32_t attempts;
	int32_t remote_status;
	int64_t changed_ms;
	uint64_t uid_hash;
	int64_t outcome_segment; /* NO_SEGMENT: none */
	bool commits;            /* the destination must */
	char target[INSTANCE_NAME_LEN];
	char last_error[LEDGER_TEXT_LEN];
};

/* One instance while an outcome is applied to it. */
struct subject {
	uint64_t seq;
	struct transfer_id id;
	uint64_t length;
	int64_t series;
	bool is_message;
	bool of_link;
	bool changed; /* a delivery of it */
	size_t n;
	struct delivery deliveries[LEDGER_DELIVERIES];
};

/* The deliveries of seq. ERR_CORRUPT: there is no such instance. */
enum err subject_read(struct ledger *l, uint64_t seq,
		      struct subject *s) MUST_CHECK;
/* All of its row that an outcome may change. */
enum err delivery_write(struct ledger *l, const struct delivery *d) MUST_CHECK;
/* Where the record stands that says what d is now: a segment with it must not
 * go while the instance lives. NO_SEGMENT: it may. Of the delivery in memory
 * only. */
enum err delivery_pin(struct ledger *l, struct delivery *d,
		      int64_t segment) MUST_CHECK;
/* Nothing but the pin of its row. */
enum err delivery_write_pin(struct ledger *l,
			    const struct delivery *d) MUST_CHECK;

#endif
