/* mem.h - the only allocator; one hook, so tests can fail any allocation. */
#ifndef PROXY_LIB_MEM_H
#define PROXY_LIB_MEM_H

#include <stddef.h>

struct mem_hook {
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *p, size_t size);
	void (*free)(void *p);
};

/* Zeroed memory or NULL. Caller frees with mem_free(). */
void *mem_zalloc(size_t size);
/* As mem_zalloc(n * size), NULL when the product overflows. */
void *mem_zarray(size_t n, size_t size);
/* As realloc(3): on NULL the old block is still valid. New bytes are not
 * zeroed. */
void *mem_realloc(void *p, size_t size);
/* A copy of s, or NULL. */
char *mem_strdup(const char *s);
/* NULL is fine. */
void mem_free(void *p);
/* Overwrite n bytes with zeros in a way no optimiser removes: for keys. */
void mem_wipe(void *p, size_t n);
/* Swap the allocator; NULL restores libc. Tests only, before any allocation. */
void mem_set_hook(const struct mem_hook *hook);

#define CONTAINER_OF(p, type, member)                                          \
	((type *)(void *)((char *)(p)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
