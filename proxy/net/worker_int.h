/* worker_int.h - inside of a worker, for the stream files only. */
#ifndef PROXY_NET_WORKER_INT_H
#define PROXY_NET_WORKER_INT_H

#include <stdatomic.h>

#include "proxy/net/chunk.h"
#include "proxy/net/worker.h"

/* Something to do for a stream before the loop waits: embedded in it. */
struct worker_job {
	struct list node; /* initialised; in a list while the job is due */
	void (*run)(struct worker_job *j);
};

struct worker {
	uv_loop_t loop;
	uv_thread_t tid;
	bool threaded, stopping;
	unsigned index;
	uv_sem_t ready;
	struct mailbox mailbox;
	struct msg stop;
	atomic_int load;
	struct list hooks, streams;
	/* jobs: run once, on the next turn. flushes: run at the end of this
	 * turn, before the loop waits. */
	struct list jobs, flushes;
	uv_idle_t idle; /* active while jobs wait: the loop must not sleep */
	uv_prepare_t prepare;
	uv_check_t check;
	struct chunk_pool chunks;
	uint8_t *read_buf;  /* WORKER_READ_SIZE, shared by all reads */
	uint8_t *plain_buf; /* WORKER_PLAIN_SIZE, shared by all on_read */
};

/* Both do nothing for a job that is due already. */
void worker_job_soon(struct worker *w, struct worker_job *j);
void worker_job_flush(struct worker *w, struct worker_job *j);

#endif
