/* server.h - the process of the status page.
 *
 *   gate (loop's thread)            HTTP (WEB_THREADS threads of libmicrohttpd)
 *   accept, count, bind identity
 *     plain: the socket itself ---> web_http_handle(): checks, view, response
 *     TLS:   stream.h <--bridge--> one end of a pair of sockets
 *
 * It holds no data key and no signing key, reads the ledger read-only, and asks
 * the daemon by its control socket for all else. */
#ifndef WEB_STATUS_SERVER_H
#define WEB_STATUS_SERVER_H

struct config;

/* Serve config's status page until SIGTERM or SIGINT; SIGHUP reads TLS files
 * and users again. Says on the log what it does and what failed. parent: its
 * process ends this one; 0: none. Returns the process's exit status. */
int web_run(const struct config *config, int parent);

#endif
