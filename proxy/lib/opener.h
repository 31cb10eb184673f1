/* opener.h - opening files in a process that may not open any by itself.
 *
 * Such a process has another one open for it. What it reads after its start
 * goes by opener_open(); everywhere else that is open(2). */
#ifndef PROXY_LIB_OPENER_H
#define PROXY_LIB_OPENER_H

#include <stdbool.h>

/* As open(2): a descriptor, or -1 with errno. Any thread. */
typedef int opener_fn(const char *path, int flags, int mode);

/* Once, before other threads and before the first file. NULL: open(2). */
void opener_set(opener_fn *fn);
bool opener_is_set(void);
/* mode counts with O_CREAT. */
int opener_open(const char *path, int flags, int mode);

#endif
