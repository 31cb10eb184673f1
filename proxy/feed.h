/* feed.h - the chunks of queued tasks, read ahead and opened.
 *
 * What is in memory is opened where it is wanted; reads of the disk run on a
 * reader pool. A chunk is handed out only after its seal was verified. Two
 * chunks at most are held: the one being sent and the next one, which may be
 * the first of the next task, so that the line stays busy.
 *
 * Lives on one worker's thread. A read that fails is repeated once with fresh
 * places from the ledger: compaction may have moved the record. */
#ifndef PROXY_FEED_H
#define PROXY_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/err.h"
#include "proxy/lib/list.h"
#include "proxy/net/worker.h"
#include "proxy/reader.h"
#include "proxy/task.h"

enum { FEED_SLOTS = 2 };

struct feed;

enum feed_state { FEED_EMPTY, FEED_READING, FEED_READY };

/* Private. */
struct feed_slot {
	struct feed *feed;
	struct job job;
	struct msg msg;
	enum feed_state state;
	struct task *task; /* NULL while reading: dropped meanwhile */
	uint32_t index;
	struct place place;
	struct transfer_id id;
	uint8_t *data; /* CHUNK_LEN bytes, or NULL */
	size_t len;
	enum err e;
};

/* Fields are private. */
struct feed {
	struct worker *worker;
	struct reader *reader;
	struct spool *spool;
	struct ledger *ledger;
	const struct list *queue; /* of struct task, in the order of sending */
	void (*ready)(void *arg);
	void *arg;
	unsigned in_flight;  /* reads and questions that will come back */
	struct list answers; /* of the questions in flight */
	struct feed_slot slots[FEED_SLOTS];
};

/* Everything is borrowed. ready runs on the worker when something has come,
 * also failures, and when the last thing in flight has come back. */
void feed_init(struct feed *f, struct worker *worker, struct reader *reader,
	       struct spool *spool, struct ledger *ledger,
	       const struct list *queue, void (*ready)(void *arg), void *arg);

/* Begin what reads are missing for the first chunks to be sent: call after
 * the queue grew or a chunk was released. */
void feed_fill(struct feed *f);

/* Chunk t->next of t, which is in the queue.
 *
 *   ERR_OK     data[0..len) is valid until feed_release() or feed_drop()
 *   ERR_AGAIN  not there yet: ready will run
 *   else       it cannot be had: ERR_CORRUPT, ERR_IO, ERR_NOTFOUND, ERR_NOMEM
 */
enum err feed_get(struct feed *f, struct task *t, const uint8_t **data,
		  size_t *len) MUST_CHECK;

/* t is early (task.h): ask the ledger how far it has come. The answer sets
 * item.chunks to one less than the chunks that are durable; then ready runs.
 * Errors as ledger_transfer(). */
enum err feed_ask_early(struct feed *f, struct task *t) MUST_CHECK;

/* Chunk t->next was used: moves t on to the following one. */
void feed_release(struct feed *f, struct task *t);

/* Forget all that was read or asked for t: before it leaves the queue. */
void feed_drop(struct feed *f, struct task *t);

/* Nothing will come back any more. */
bool feed_quiet(const struct feed *f);
/* Free the buffers that are not in use. */
void feed_trim(struct feed *f);

#endif
