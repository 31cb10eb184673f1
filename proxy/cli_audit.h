/* cli_audit.h - the parts of `culvert audit`. Each gets argv with its own name
 * in argv[0] and returns the exit status. */
#ifndef PROXY_CLI_AUDIT_H
#define PROXY_CLI_AUDIT_H

enum { CLI_FAULTY = 3 }; /* it was checked, and something is wrong */

int cli_audit(int argc, char **argv);

int cli_audit_verify(int argc, char **argv); /* cli_audit_verify.c */
int cli_audit_head(int argc, char **argv);   /* cli_audit_head.c */
int cli_audit_key(int argc, char **argv);
int cli_audit_prune(int argc, char **argv); /* cli_audit_keep.c */
int cli_audit_hold(int argc, char **argv);
int cli_audit_erase(int argc, char **argv);
int cli_audit_clock(int argc, char **argv);

#endif
