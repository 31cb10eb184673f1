#include "proxy/lib/opener.h"

#include <fcntl.h>
#include <stddef.h>

static opener_fn *by;

void opener_set(opener_fn *fn)
{
	by = fn;
}

bool opener_is_set(void)
{
	return by != NULL;
}

int opener_open(const char *path, int flags, int mode)
{
	return by != NULL ? by(path, flags, mode) : open(path, flags, mode);
}
