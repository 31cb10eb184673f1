/* cli_export.h - culvert audit export, and the same of transfers. */
#ifndef PROXY_CLI_EXPORT_H
#define PROXY_CLI_EXPORT_H

#include <stdbool.h>

/* argv[0] is "export". */
int cli_audit_export(int argc, char **argv);
/* culvert audit verify --export FILE ...; argv[0] is "verify". */
int cli_audit_verify_export(int argc, char **argv);

struct export_table;
/* Shared: op is the operation of the control socket. */
int cli_export_table(const char *command, const char *op,
		     const struct export_table *t, int argc, char **argv);
/* What each column means, on standard output. */
int cli_export_columns(const struct export_table *t, bool troff);

#endif
