/* server.h - the daemon: builds every part in order, runs, takes it apart. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

struct config;

/* Run until SIGTERM or SIGINT (the second one ends at once). Says on the log
 * what it does, and what failed with cause and remedy. Returns the process's
 * exit status, 0 after an orderly stop. */
int server_run(const struct config *config);

#endif
