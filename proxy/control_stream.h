/* control_stream.h - an operation that streams a file back: frames, ZIP,
 * progress, and giving way to images that come in. */
#ifndef PROXY_CONTROL_STREAM_H
#define PROXY_CONTROL_STREAM_H

#include "proxy/control_op.h"
#include "proxy/control_pace.h"
#include "proxy/export_frames.h"
#include "proxy/export_zip.h"
#include "store/export_manifest.h"

struct control_stream {
	struct control_connection *k;
	bool zipped;
	struct export_zip zip;
	char name[EXPORT_NAME_LEN];
	uint64_t told_ns; /* progress */
	struct control_pace pace;
};

/* Answer with the name and the kind of the file, begin the frames. From here on
 * errors go by control_stream_end(). The thread runs at low priority from here
 * on. */
enum err control_stream_begin(struct control_stream *s,
			      struct control_connection *k, const char *name,
			      const char *media, bool zipped) MUST_CHECK;
/* An export_sink_fn. */
enum err control_stream_put(void *arg, const void *p, size_t n);
/* Between pages: progress, and a pause while images come in. False: the daemon
 * stops, or nobody listens any more. */
bool control_stream_go_on(void *arg, uint64_t done, uint64_t total);
/* The last frame: the manifest ("" for none) when e is ERR_OK, else why. */
void control_stream_end(struct control_stream *s, enum err e,
			const char *manifest, const char *why);
/* The same with a signed manifest; what went out, "audit", "transfers" or the
 * report's name, is put on record with its hash (that it was asked for is
 * already). why "": err_text(e). */
void control_stream_sign_off(struct control_stream *s, enum err e,
			     const char *what, const struct export_manifest *m,
			     const char *why);

/* culvert-WHAT-NODE-20260504T091527Z.SUFFIX */
void control_stream_name(const struct control_connection *k, const char *what,
			 const char *suffix, char out[EXPORT_NAME_LEN]);

#endif
