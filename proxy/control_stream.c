#include "proxy/control_stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/config.h"
#include "proxy/lib/clock.h"
#include "proxy/lib/log.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/wr.h"
#include "store/ledger.h"

enum { PROGRESS_NS = 200 * 1000000 };

void control_stream_name(const struct control_connection *k, const char *what,
			 const char *suffix, char out[EXPORT_NAME_LEN])
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	char when[24];

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(out, EXPORT_NAME_LEN, "culvert-%s-%s-%s.%s", what,
		 k->opt->config->node, when, suffix);
}

/* ---- bytes out
 * ----------------------------------------------------------------- */

static enum err put_frames(void *arg, const void *p, size_t n)
{
	struct control_stream *s = arg;
	const char *at = p;
	enum err e = ERR_OK;

	while (e == ERR_OK && n > 0) {
		size_t part = n < EXPORT_FRAME_MAX ? n : EXPORT_FRAME_MAX;

		e = export_frame_send(s->k->fd, 'd', at, part);
		at += part;
		n -= part;
	}
	return e == ERR_OK ? ERR_OK : ERR_CANCELED;
}

enum err control_stream_put(void *arg, const void *p, size_t n)
{
	struct control_stream *s = arg;

	if (s->zipped)
		return export_zip_data(&s->zip, p, n);
	return put_frames(s, p, n);
}

enum err control_stream_begin(struct control_stream *s,
			      struct control_connection *k, const char *name,
			      const char *media, bool zipped)
{
	json_t *answer;
	char zip[EXPORT_NAME_LEN + 4];
	enum err e;

	*s = (struct control_stream){.k = k, .zipped = zipped};
	snprintf(s->name, sizeof(s->name), "%s", name);
	snprintf(zip, sizeof(zip), "%s.zip", name);
	control_pace_begin(&s->pace);
	answer =
	    json_pack("{s:b,s:s,s:s}", "ok", 1, "name", zipped ? zip : s->name,
		      "media", zipped ? "application/zip" : media);
	e = answer != NULL ? control_send(k->fd, answer) : ERR_NOMEM;
	json_decref(answer);
	if (e == ERR_OK && zipped) {
		export_zip_init(&s->zip, put_frames, s);
		e = export_zip_member(&s->zip, s->name);
	}
	return e;
}

static enum err end_zip(struct control_stream *s, const char *manifest)
{
	char name[EXPORT_NAME_LEN + 16];
	enum err e;

	if (!s->zipped)
		return ERR_OK;
	snprintf(name, sizeof(name), "%s.manifest.json", s->name);
	e = export_zip_close(&s->zip);
	if (e == ERR_OK && manifest[0] != '\0') {
		e = export_zip_member(&s->zip, name);
		if (e == ERR_OK)
			e = export_zip_data(&s->zip, manifest,
					    strlen(manifest));
		if (e == ERR_OK)
			e = export_zip_close(&s->zip);
	}
	return e == ERR_OK ? export_zip_end(&s->zip) : e;
}

void control_stream_end(struct control_stream *s, enum err e,
			const char *manifest, const char *why)
{
	if (e == ERR_OK)
		e = end_zip(s, manifest);
	if (e == ERR_OK)
		e = export_frame_send(s->k->fd, 'm', manifest,
				      strlen(manifest));
	else if (e != ERR_CANCELED || control_stopping(s->k))
		(void)!export_frame_send(s->k->fd, 'e', why, strlen(why));
	if (e != ERR_OK)
		log_event(LOG_WARN, "export-failed", "file=%s cause=\"%s\"",
			  s->name, e == ERR_CANCELED ? "nobody took it" : why);
}

static void record(struct control_connection *k, const char *what,
		   const struct export_manifest *m, enum err result)
{
	struct audit_event *e = mem_zalloc(sizeof(*e));
	struct audit_json d;
	char sha[65];

	if (e == NULL)
		return;
	e->kind = AUDIT_EXPORT;
	e->outcome = result == ERR_OK ? AUDIT_SUCCESS : AUDIT_MINOR;
	snprintf(e->user, sizeof(e->user), "%s", k->peer.user);
	d = audit_json_begin(e->detail, sizeof(e->detail));
	audit_json_text(&d, "exported", what);
	audit_json_text(&d, "result", err_text(result));
	if (result == ERR_OK) {
		audit_json_number(&d, "rows", (int64_t)m->totals.rows);
		audit_json_text(&d, "sha256",
				export_hex(m->totals.sha256, 32, sha));
	}
	audit_json_end(&d);
	ledger_audit(k->opt->ledger, e);
	mem_free(e);
}

void control_stream_sign_off(struct control_stream *s, enum err e,
			     const char *what, const struct export_manifest *m,
			     const char *why)
{
	char *text = mem_zalloc(EXPORT_MANIFEST_MAX);

	if (e == ERR_OK && text == NULL)
		e = ERR_NOMEM;
	if (e == ERR_OK && export_manifest_text(m, text) == 0)
		e = ERR_LIMIT;
	control_stream_end(s, e, e == ERR_OK ? text : "",
			   why[0] != '\0' ? why : err_text(e));
	record(s->k, what, m, e);
	mem_free(text);
}

/* ---- progress
 * ------------------------------------------------------------------ */

static bool tell(struct control_stream *s, uint64_t done, uint64_t total)
{
	uint8_t p[16];
	struct wr w = wr_init(p, sizeof(p));

	wr_u64(&w, done);
	wr_u64(&w, total);
	return export_frame_send(s->k->fd, 'p', p, w.len) == ERR_OK;
}

bool control_stream_go_on(void *arg, uint64_t done, uint64_t total)
{
	struct control_stream *s = arg;
	uint64_t now = clock_mono_ns();

	if (control_stopping(s->k))
		return false;
	if (now - s->told_ns >= PROGRESS_NS) {
		s->told_ns = now;
		if (!tell(s, done, total))
			return false;
	}
	control_pace_keep(&s->pace, s->k);
	return true;
}
