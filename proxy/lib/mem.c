#include "proxy/lib/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct mem_hook libc_hook = {
    .calloc = calloc, .realloc = realloc, .free = free};
static const struct mem_hook *hook_now = &libc_hook;

void *mem_zalloc(size_t size)
{
	return hook_now->calloc(1, size);
}

void *mem_zarray(size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	return hook_now->calloc(n, size);
}

void *mem_realloc(void *p, size_t size)
{
	return hook_now->realloc(p, size);
}

char *mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = mem_zalloc(n);

	if (copy != NULL)
		memcpy(copy, s, n);
	return copy;
}

void mem_free(void *p)
{
	if (p != NULL)
		hook_now->free(p);
}

void mem_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void mem_set_hook(const struct mem_hook *hook)
{
	hook_now = hook != NULL ? hook : &libc_hook;
}
