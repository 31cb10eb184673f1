/* repository.h - the audit on its way to the configured audit repositories.
 *
 * Every row becomes a DICOM audit message (audit_message.h) in a syslog message
 * (syslog.h). The audit itself is the queue: a cursor (store/audit_cursor.h)
 * says up to which seq it has arrived, so nothing is lost while a repository is
 * away or Culvert is, and some may come twice.
 *
 *   syslog-tls  a row has arrived when TCP has acknowledged its bytes, and the
 *               connection has lived on for replay.time: what acknowledges is
 *               the peer's kernel, not its program. A new connection begins
 *               replay.rows before what has arrived.
 *   syslog-udp  a row has arrived when it was sent. A port that refuses is
 *               noticed, and what was refused is sent again.
 *
 * The newest signed head of the audit's chain goes out too, each minute in
 * which there is a new one, and to each new connection.
 *
 * All repositories live on one worker of their own, so that reading the audit
 * delays no device. */
#ifndef PROXY_REPOSITORY_H
#define PROXY_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "proxy/audit_message.h"
#include "proxy/lib/err.h"

struct audit_row;
struct repositories; /* opaque */

/* What is sealed in a row, opened. Text belongs to the opener until its next
 * call. */
struct repository_opened {
	struct audit_message_identity identity;
	const uint8_t *query; /* NULL: none */
	size_t query_len;
};

/* Borrowed; all must outlive it. */
struct repositories_options {
	const struct config *config;
	/* Opens what is sealed for row, for repositories with identity: yes.
	 * False: nothing is known. On the repositories' thread, never twice at
	 * once. NULL: nothing is ever known. With row NULL it forgets, and
	 * wipes, what it opened last. */
	bool (*open)(void *arg, const struct audit_row *row,
		     struct repository_opened *out);
	void *arg;
};

/* ERR_NOMEM, ERR_IO, ERR_INVAL (TLS material); why is a sentence with cause and
 * remedy. With no repository configured *out is NULL. */
enum err repositories_start(const struct repositories_options *o,
			    struct repositories **out,
			    char why[768]) MUST_CHECK;
/* Repositories that are connected get up to grace_ms for the last rows.
 * Blocks. NULL is fine. */
void repositories_stop(struct repositories *r, uint64_t grace_ms);

enum repository_state {
	REPOSITORY_WAITING, /* after a failure, until the next attempt */
	REPOSITORY_CONNECTING,
	REPOSITORY_CONNECTED
};
const char *repository_state_name(enum repository_state s);

struct repository_status {
	const char *name;     /* borrowed from the configuration */
	const char *protocol; /* static */
	char address[CONFIG_HOST_LEN + 16];
	enum repository_state state;
	int64_t sent;   /* seq up to which TCP has acknowledged, or UDP sent;
			 * 0: none */
	int64_t newest; /* seq of the newest row that was seen here */
	int64_t behind; /* rows */
	int64_t head;   /* seq of the last head sent; 0: none */
	uint64_t messages, bytes; /* sent since start, again ones too */
	int64_t sent_ms;          /* wall time of the last progress; 0: never */
	int64_t error_ms;         /* wall time of the last error; 0: never */
	char error[512]; /* cause and remedy; "" since it works again */
};

/* Any thread. False: there is no i-th. r may be NULL. */
bool repositories_status(struct repositories *r, size_t i,
			 struct repository_status *out);

/* For `culvert check --connect`: connect, and TLS, and nothing more. Blocks,
 * on a thread without a loop. Each step is told as it ends. */
typedef void repository_step_fn(void *arg, bool ok, const char *step,
				const char *text);
enum err repository_try(const struct config_repository *c,
			repository_step_fn *step, void *arg) MUST_CHECK;

#endif
