/* asset.h - files embedded in the binary: style, scripts, icons.
 *
 * Served at "/assets/NAME" to everybody, with an ETag and no log-in: they hold
 * no data. The table is made by the build from web-status/assets/. */
#ifndef WEB_STATUS_ASSET_H
#define WEB_STATUS_ASSET_H

#include <stddef.h>
#include <stdint.h>

struct web_asset {
	const char *path;     /* "/assets/style.css" */
	const char *type;     /* "text/css; charset=utf-8" */
	const uint8_t *bytes; /* static */
	size_t n;
	const char *etag; /* with its quotes: "\"3f2a...\"" */
};

extern const struct web_asset web_assets[];
extern const size_t web_n_assets;

#endif
