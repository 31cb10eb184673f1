/* err.h - the one error vocabulary every module returns.
 *
 * An enum err steers the caller. The detail (errno, wolfSSL's text, libuv's
 * text) is logged once, where it is known, or carried in a caller-supplied
 * text buffer where a person waits for it. */
#ifndef PROXY_LIB_ERR_H
#define PROXY_LIB_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

#define ERR_MAP(X)                                                             \
	X(OK, "success")                                                       \
	X(AGAIN, "need more data")                                             \
	X(NOMEM, "out of memory")                                              \
	X(LIMIT, "configured limit exceeded")                                  \
	X(PROTO, "peer broke the protocol")                                    \
	X(TLS, "TLS failure")                                                  \
	X(DENIED, "refused by policy")                                         \
	X(TIMEOUT, "deadline passed")                                          \
	X(IO, "I/O error")                                                     \
	X(NOSPACE, "no space left or quota reached")                           \
	X(CORRUPT, "stored data failed its integrity check")                   \
	X(NOKEY, "data key missing or different")                              \
	X(NOTFOUND, "not found")                                               \
	X(EXISTS, "exists already")                                            \
	X(INVAL, "invalid value")                                              \
	X(CANCELED, "canceled")                                                \
	X(CLOSED, "closed by the peer")                                        \
	X(BUSY, "busy")                                                        \
	X(UNSUPPORTED, "not supported")

enum err {
#define X(name, text) ERR_##name,
	ERR_MAP(X)
#undef X
};

/* Static English text for e; never NULL. */
const char *err_text(enum err e);

#endif
