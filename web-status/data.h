/* data.h - where the page's data comes from: the ledger, read-only, and the
 * daemon by its control socket.
 *
 * One thread asks for the status, so that any number of viewers cost the
 * daemon one question a second, and none while nobody looks. It also carries
 * what must go on record. Any thread may call. */
#ifndef WEB_STATUS_DATA_H
#define WEB_STATUS_DATA_H

#include <stdint.h>

#include "proxy/lib/err.h"

struct config;
struct json_t;
struct ledger_view;
struct web_data;

enum { DATA_ASKS_MAX = 3 /* other questions at once */ };

enum err data_start(const struct config *config,
		    struct web_data **out) MUST_CHECK;
/* Waits for a question under way. NULL is fine. */
void data_stop(struct web_data *d);

/* A view for this thread, until it is returned. NULL: why (LEDGER_WHY_LEN)
 * gets a sentence. */
struct ledger_view *data_ledger(struct web_data *d, char *why);
void data_ledger_return(struct web_data *d, struct ledger_view *v);

/* See web_status(). */
struct json_t *data_status(struct web_data *d, uint64_t *age_ms);

/* Ask the daemon for somebody; fd as in control_ask(). ERR_BUSY: too many. */
enum err data_ask(struct web_data *d, const struct json_t *request,
		  const char *user, unsigned roles, struct json_t **answer,
		  int *fd) MUST_CHECK;

/* Put a log-in, its failure or a log-out on record, soon. what: "login",
 * "login-failed", "login-delayed", "logout". method: "password",
 * "certificate". A flood becomes counts. */
void data_record(struct web_data *d, const char *what, const char *user,
		 const char *address, const char *method);

#endif
