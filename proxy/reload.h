/* reload.h - the configuration file read again while the daemon runs.
 *
 * The configuration that the daemon started with stays as it is: it is shared
 * by all threads. What a reload takes up (OPTION_LIVE: bandwidth limits and
 * their hours, limits of associations, log level) has copies elsewhere, and
 * these are set anew: shaping.h, limits.h, log.h. All else that differs is
 * named, and waits for a restart. A file that does not load changes nothing.
 *
 * The main loop's thread; the file is read and compared on another. */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "policy/change.h"
#include "policy/config.h"
#include "proxy/lib/err.h"

struct admission;
struct ledger;
struct reload; /* opaque */
struct shaping;

/* All borrowed; must outlive it. */
struct reload_options {
	uv_loop_t *loop;
	const struct config *config; /* that of the start */
	struct shaping *shaping;
	struct admission *admission;
	struct ledger *ledger;
	/* shaping_take() has been called: apply it now. */
	void (*reshape)(void *arg);
	void *arg;
};

enum { RELOAD_CHANGES_MAX = 64, RELOAD_WHY_LEN = 768 };

struct reload_result {
	bool taken;               /* false: why, and nothing has changed */
	char why[RELOAD_WHY_LEN]; /* cause; remedy */
	/* Those taken up now (live), and those that differ from what runs and
	 * take a restart. The first of them are kept, all are counted. */
	size_t n_live, n_restart, n_changes;
	struct config_change changes[RELOAD_CHANGES_MAX];
};

/* ERR_NOMEM. */
enum err reload_new(const struct reload_options *opt,
		    struct reload **out) MUST_CHECK;
/* After the loop has run out. NULL is fine. */
void reload_free(struct reload *r);

/* Runs once, later, on the main loop; result is valid during the call. */
typedef void reload_done_fn(void *arg, const struct reload_result *result);

/* Read the file again. by: "SIGHUP", "uid 1000", for the records. While one is
 * under way another follows it, but only one, for the last that asked; the
 * others are told so at once. done may be NULL: the log says what came of it,
 * as always. */
void reload_start(struct reload *r, const char *by, reload_done_fn *done,
		  void *arg);

#endif
