/* cli_link.h - what `culvert status` says of a destination that is a link. */
#ifndef PROXY_CLI_LINK_H
#define PROXY_CLI_LINK_H

#include <jansson.h>

/* destination: of the daemon's answer. Nothing where it is no link. */
void cli_link(const json_t *destination);

#endif
