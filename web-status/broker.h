/* broker.h - opens files for the page's process, which may open none itself.
 *
 * A process of its own, forked before there are threads. It opens the
 * databases of the records by name, the file of users, and the certificates
 * that the page shows; nothing else, and no key but the page's own. A file is
 * looked up anew each time: months turn, certificates are renewed. It ends
 * with the process that it works for. */
#ifndef WEB_STATUS_BROKER_H
#define WEB_STATUS_BROKER_H

#include "proxy/lib/err.h"

struct config;

/* Starts it and makes opener_open() ask it. config must outlive it. ERR_IO. */
enum err broker_start(const struct config *config) MUST_CHECK;
/* Files can no longer be opened. Fine when it was never started. */
void broker_stop(void);

#endif
