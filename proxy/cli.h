/* cli.h - the commands of the one binary, and what they share.
 *
 * A command gets argv with its own name in argv[0] and returns the process's
 * exit status: CLI_OK, CLI_FAILED (it tried and says why on stderr) or
 * CLI_USAGE (it did not understand the arguments). Results go to stdout, so
 * that they can be piped; everything else goes to stderr. */
#ifndef PROXY_CLI_H
#define PROXY_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct config;

enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, /* the daemon does not answer */
	CLI_DENIED = 4       /* it does, and the caller may not */
};

#define CLI_DEFAULT_CONFIG "/etc/culvert/culvert.yaml"

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_echo(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_web(int argc, char **argv);
int cli_rights(int argc, char **argv);
int cli_metrics(int argc, char **argv);
int cli_queue(int argc, char **argv);
int cli_association(int argc, char **argv);
int cli_rates(int argc, char **argv);
int cli_refused(int argc, char **argv);
int cli_hash(int argc, char **argv);
int cli_spool(int argc, char **argv);

/* Load path, printing warnings and errors on stderr. NULL: it could not be
 * used, and the reason has been printed. Caller frees with config_free(). */
struct config *cli_config(const char *path);

/* True when argv holds -h or --help. */
bool cli_wants_help(int argc, char **argv);

/* The value of option "-c"/"--config" or the default. Removes it from argv
 * and lowers *argc, so that a command sees only its own arguments. NULL when
 * the option has no value. */
const char *cli_take_config(int *argc, char **argv);

/* Of commands that have commands: "-c FILE" may stand in front of that word;
 * then it goes behind it. */
void cli_word_first(int argc, char **argv);

/* The AE titles of a C-ECHO to a destination (an index) that is a device:
 * each that is NULL is set. Others are left alone. */
void cli_echo_aes(const struct config *cfg, size_t destination,
		  const char **calling, const char **called);

/* "525.3 KB", "2.1 GB": decimal units, into out. Returns out. */
char *cli_bytes(unsigned long long n, char *out, size_t out_size);

#endif
