/* notify.h - tell the service manager how we are (sd_notify(3)'s protocol). */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

/* state: "READY=1", "STOPPING=1". Nothing happens when nobody listens. */
void notify_service(const char *state);

#endif
