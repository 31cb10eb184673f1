/* delivery_kit.h - a real spool, ledger, worker and main loop in a temporary
 * directory, to deliver from. */
#ifndef TESTS_UNIT_DELIVERY_KIT_H
#define TESTS_UNIT_DELIVERY_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "policy/config.h"
#include "proxy/capability.h"
#include "proxy/destination.h"
#include "proxy/early.h"
#include "proxy/net/mailbox.h"
#include "proxy/net/worker.h"
#include "proxy/scheduler.h"
#include "store/ledger.h"
#include "store/spool.h"
#include "tests/unit/fake_scp.h"

struct kit {
	char dir[64], spool_dir[96], ledger_dir[96];
	uv_loop_t loop;
	struct mailbox mailbox;
	struct spool *spool;
	struct ledger *ledger;
	struct capabilities *capabilities;
	struct worker *workers[2];
	struct config *config; /* by kit_config() */
	struct early_desk early;
	struct scheduler *scheduler;
	struct destination **destinations; /* while it runs */
	struct fake_scp scp[2];
	bool stopped;
	unsigned n_put;
};

void kit_open(struct kit *k);
/* Stop what runs, check that nothing is left, remove the directory. */
void kit_close(struct kit *k);

/* text with one %u for each scp's port, in order. */
void kit_config(struct kit *k, const char *text);
void kit_schedule(struct kit *k);
void kit_unschedule(struct kit *k);

/* What to put in; NULL and 0 stand for usual values. */
struct kit_instance {
	const char *sop_class, *sop_instance, *transfer_syntax, *study;
	const char *calling_ae, *called_ae;
	const char *to[3]; /* destinations; none: "a" */
	size_t length;     /* of the data set; 0: 1000 */
	bool empty;        /* length is 0 */
	const void *head;  /* the first head_len bytes, instead of the usual */
	size_t head_len;
	uint16_t dicom_priority;
	int8_t device_priority;
	const char *originator;
	uint16_t originator_id;
	int64_t received_ms;
	uint16_t command; /* of a message */
	uint16_t type;
	const char *transaction;
	bool held;
};

/* Durable when it returns, its transfer id in *id (may be NULL). Byte i of the
 * data set of the nth instance is (i * 7 + i / 251 + n). */
unsigned kit_put(struct kit *k, const struct kit_instance *i,
		 struct transfer_id *id);
uint8_t kit_byte(unsigned n, size_t i);

/* One that comes in bit by bit, and of which the scheduler is told, as an
 * association does. It ends with kit_whole() or kit_broken(). */
struct kit_slow;
struct kit_slow *kit_begin(struct kit *k, const struct kit_instance *i);
struct transfer_id kit_slow_id(const struct kit_slow *s);
void kit_come(struct kit_slow *s, size_t n); /* so many bytes more */
unsigned kit_whole(struct kit_slow *s);      /* its number */
void kit_broken(struct kit_slow *s);
/* All that was put is in the ledger. */
void kit_barrier(struct kit *k);

/* Run the main loop until cond is true; fails after a minute. */
#define KIT_UNTIL(k, cond)                                                     \
	do {                                                                   \
		for (int n_ = 0; !(cond); n_++) {                              \
			assert_true(n_ < 60000);                               \
			kit_turn(k);                                           \
		}                                                              \
	} while (0)
void kit_turn(struct kit *k); /* about a millisecond */
void kit_for(struct kit *k, unsigned ms);

/* Where chunk 0 of the first one queued for destination is, and flipping a bit
 * of the data at a place. */
struct place kit_place(struct kit *k, const char *destination);
void kit_damage(struct kit *k, struct place place);

/* Deliveries of a destination in a state, as the ledger counts them. */
uint64_t kit_count(struct kit *k, const char *destination,
		   enum delivery_state state);

#endif
