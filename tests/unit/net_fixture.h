/* net_fixture.h - what the tests of proxy/net share: a PKI made once for each
 * program, an allocator that counts and fails, and files for child processes.
 */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "proxy/net/tls.h"

/* "NAME.pem", "NAME.key" and so on below a directory made on first use and
 * removed at exit. Returns a static buffer of a ring of 64. NAMEs:
 *   ca, server (DNS:localhost, IP:127.0.0.1), client, other-name (DNS:other),
 *   expired, future, server-only, client-only
 *   bad/ca, bad/server, bad/client: the same from a CA of the same name
 *   stranger/ca, stranger/client: from a CA of another name */
const char *net_file(const char *name);

/* Count and fail allocations made through mem.h from here on, in any thread. */
void net_mem_install(void);
/* Let n allocations through, then fail every one until net_mem_ok(). */
void net_mem_fail_after(int n);
void net_mem_ok(void);
/* Blocks allocated and not freed since net_mem_install(). */
int net_mem_live(void);

/* Contexts from those files; the test fails when they cannot be made. */
struct tls_context *net_server(const char *ca, const char *name);
struct tls_context *net_client(const char *ca, const char *name);

/* Start argv, its output discarded, its input held open. */
pid_t net_spawn(const char *const argv[]);
/* Kill and reap. */
void net_reap(pid_t pid);
/* Wait until something listens at 127.0.0.1:port. */
void net_await_port(int port);
/* A port of the test range that is free now. */
int net_free_port(void);
bool net_have_openssl(void);

#endif
