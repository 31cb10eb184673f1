/* cli_top_frame.h - what "culvert top" shows, as lines of text. Pure. */
#ifndef PROXY_CLI_TOP_FRAME_H
#define PROXY_CLI_TOP_FRAME_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/cli_ui.h"

enum { TOP_LINES_MAX = 400, TOP_LINE_LEN = 256 };

struct top_line {
	enum cli_colour colour;
	char text[TOP_LINE_LEN];
};

struct top_device {
	char name[64];
	int64_t last_ms;
	uint64_t instances, bytes;
};

struct top_frame {
	size_t n;
	struct top_line lines[TOP_LINES_MAX];
};

/* status: the daemon's answer, or NULL with why. What was delivered since
 * before (an earlier answer, NULL: none) makes the rates. */
void top_frame(struct top_frame *f, const json_t *status, const json_t *before,
	       const char *why, const struct top_device *devices,
	       size_t n_devices, int64_t now_ms);

#endif
