/* cli_rates.h - limits of bandwidth in `culvert status`. */
#ifndef PROXY_CLI_RATES_H
#define PROXY_CLI_RATES_H

#include <jansson.h>

/* One line each, on stdout, from the daemon's answer; nothing where none is
 * configured. */
void cli_rates(const json_t *status);

#endif
