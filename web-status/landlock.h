/* landlock.h - a process that opens no file (landlock(7)). */
#ifndef WEB_STATUS_LANDLOCK_H
#define WEB_STATUS_LANDLOCK_H

#include <stdbool.h>

/* From here on this thread, and those it makes, open nothing below / but to
 * list the directory records, and to read what the C library needs; nor may
 * they look into other processes. What is open stays open; sockets are not
 * meant. False: the kernel has no Landlock, or it is off; errno says which.
 * Needs PR_SET_NO_NEW_PRIVS. */
bool landlock_enter(const char *records);

#endif
