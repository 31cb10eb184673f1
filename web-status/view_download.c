/* Exports and receipts: the daemon makes them, the page passes them on.
 * Whether the viewer may have them is the daemon's to say, and on its record
 * before the first byte. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/export_frames.h"
#include "proxy/lib/mem.h"
#include "web-status/layout.h"
#include "web-status/query.h"
#include "web-status/views.h"

static ptrdiff_t read_more(void *arg, uint8_t *p, size_t cap)
{
	return export_frames_read(arg, p, cap);
}

static void cancel(void *arg)
{
	struct export_frames *f = arg;

	(void)shutdown(f->fd, SHUT_RDWR);
}

static void done(void *arg)
{
	struct export_frames *f = arg;

	close(f->fd);
	mem_free(f);
}

/* fd is taken over. */
static enum web_code pass_on(struct web_request *r, const json_t *answer,
			     int fd)
{
	struct export_frames *f = mem_zalloc(sizeof(*f));
	struct web_stream s = {
	    .read = read_more, .cancel = cancel, .done = done, .arg = f};

	if (f == NULL) {
		close(fd);
		return WEB_FAILED;
	}
	f->fd = fd;
	web_set_type(r, json_text_of(answer, "media"));
	web_set_download(r, json_text_of(answer, "name"));
	if (web_stream(r, &s) == ERR_OK)
		return WEB_OK;
	done(f);
	return WEB_TOO_MANY;
}

static enum web_code fetch(struct web_request *r, struct web_out *o,
			   enum tab at, const json_t *ask)
{
	struct page p = page_of(r, o);
	json_t *answer = NULL;
	int fd = -1;
	enum err e =
	    ask != NULL ? web_control_open(r, ask, &answer, &fd) : ERR_NOMEM;
	enum web_code code = WEB_OK;

	if (e == ERR_OK && fd >= 0)
		code = pass_on(r, answer, fd);
	else
		page_sorry(&p, at, W_DOWNLOAD, W_DOWNLOAD_FAILED,
			   e == ERR_OK ? json_text_of(answer, "error")
				       : err_text(e));
	json_decref(answer);
	return code;
}

static void take_text(json_t *ask, const struct web_request *r,
		      const char *name)
{
	char value[QUERY_LEN];

	if (web_query(r, name, value, sizeof(value)) && value[0] != '\0')
		json_object_set_new(ask, name, json_string(value));
}

static void take_time(json_t *ask, const struct web_request *r,
		      const char *name)
{
	char value[QUERY_LEN];
	int64_t ms = 0;

	if (web_query(r, name, value, sizeof(value)) &&
	    query_time(value, &ms) && ms > 0)
		json_object_set_new(ask, name, json_integer(ms));
}

static enum web_code export_of(struct web_request *r, struct web_out *o,
			       enum tab at, const char *op,
			       const char *const *names)
{
	json_t *ask = json_pack("{s:s,s:b}", "op", op, "zip", 1);
	enum web_code code;

	if (ask == NULL)
		return WEB_FAILED;
	take_time(ask, r, "from");
	take_time(ask, r, "to");
	for (size_t i = 0; names[i] != NULL; i++)
		take_text(ask, r, names[i]);
	code = fetch(r, o, at, ask);
	json_decref(ask);
	return code;
}

enum web_code view_transfers_export(struct web_request *r, struct web_out *o)
{
	static const char *const names[] = {"format", "device", "destination",
					    "study",  "state",  NULL};

	return export_of(r, o, AT_TRANSFERS, "transfers-export", names);
}

enum web_code view_audit_export(struct web_request *r, struct web_out *o)
{
	static const char *const names[] = {"format",  "device", "destination",
					    "study",   "event",  "user",
					    "outcome", NULL};

	return export_of(r, o, AT_AUDIT, "audit-export", names);
}

enum web_code view_receipt(struct web_request *r, struct web_out *o)
{
	char study[QUERY_LEN], format[8] = "html";
	bool json;
	json_t *ask;
	enum web_code code;

	if (!web_query(r, "study", study, sizeof(study)))
		return WEB_NOT_FOUND;
	(void)web_query(r, "format", format, sizeof(format));
	json = strcmp(format, "json") == 0;
	ask = json_pack("{s:s,s:s,s:s}", "op", "receipt", "study", study,
			"format", json ? "json" : "html");
	code = fetch(r, o, AT_TRANSFERS, ask);
	json_decref(ask);
	return code;
}
