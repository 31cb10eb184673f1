/* tls_kit.h - two TLS engines joined by two queues of ciphertext. */
#ifndef TESTS_UNIT_TLS_KIT_H
#define TESTS_UNIT_TLS_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/lib/buf.h"
#include "proxy/net/tls.h"

struct end {
	struct tls *tls;
	struct buf out; /* ciphertext for the other end */
	enum err state; /* of the handshake */
};

struct pair {
	struct tls_context *server_ctx, *client_ctx;
	struct end server, client;
};

/* The sink of an end's engine. */
enum err end_take(void *arg, const uint8_t *p, size_t n);
void end_begin(struct end *e, struct tls_context *c, const char *name,
	       const char *key);
void end_finish(struct end *e);
/* Give e up to n bytes of what from holds, and let it go on. */
void end_step(struct end *e, struct end *from, size_t n);
/* Read all that waits; the text is compared. ERR of the last read. */
enum err end_receive(struct end *e, struct end *from, const char *want);
void end_send(struct end *e, const char *text);
/* Each of the words is in the engine's failure. */
void end_says(const struct end *e, const char *const words[]);

#define WORDS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define SAYS(e, ...) end_says(e, WORDS(__VA_ARGS__))

/* Contexts of the fixture's certificates, and pair_begin(). */
void pair_new(struct pair *p, const char *server, const char *client);
/* Two new engines of the pair's contexts. */
void pair_begin(struct pair *p, const char *name, const char *key);
void pair_end(struct pair *p);
void pair_free(struct pair *p); /* and the contexts */
/* Both handshakes, n bytes at a time, until nothing moves. */
void pair_shake(struct pair *p, size_t n);
/* Both handshakes are done, and text goes both ways. */
void pair_is_good(struct pair *p);

/* The fixture's "server" or "client", which trusts "ca". */
struct tls_options kit_options(bool server);
/* A context, or the test fails saying why. */
struct tls_context *kit_context(bool server, const struct tls_options *o);

/* Around each test: all memory comes back. */
int kit_setup(void **state);
int kit_teardown(void **state);
int kit_group_setup(void **state);
#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

#endif
