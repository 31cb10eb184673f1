/* cli_rates.h - limits of bandwidth, in `culvert status` and alone. */
#ifndef PROXY_CLI_RATES_H
#define PROXY_CLI_RATES_H

#include <jansson.h>

/* One line each, on stdout, from the daemon's answer; nothing where none is
 * configured. */
void cli_print_rates(const json_t *status);

#endif
