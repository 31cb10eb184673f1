#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/control.h"
#include "proxy/control_io.h"

static enum err dial(const char *path, int *out, char why[256])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(why, 256, "cannot use the control socket %.150s",
			 path);
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0) {
		*out = fd;
		return ERR_OK;
	}
	close(fd);
	if (errno == EACCES || errno == EPERM) {
		snprintf(why, 256,
			 "no permission for %.150s; run as root, or let others "
			 "search the directories it is in",
			 path);
		return ERR_DENIED;
	}
	snprintf(why, 256,
		 "no daemon answers at %.150s; start it with culvert serve or "
		 "systemctl start culvert",
		 path);
	return ERR_NOTFOUND;
}

/* Longest wait for a line. CULVERT_TEST_WAIT_S: another one. */
static unsigned patience(void)
{
#ifdef CULVERT_TEST_HOOKS
	const char *hook = getenv("CULVERT_TEST_WAIT_S");

	if (hook != NULL)
		return (unsigned)strtoul(hook, NULL, 10);
#endif
	return CONTROL_IO_SECONDS;
}

/* The answer, past what comes ahead of it. */
static enum err await(int fd, bool (*ahead)(void *arg, const json_t *line),
		      void *arg, json_t **answer)
{
	json_t *line;
	bool go_on;
	enum err e;

	for (;;) {
		e = control_receive(fd, patience(), &line);
		if (e != ERR_OK)
			return e;
		if (json_object_get(line, "ok") != NULL) {
			*answer = line;
			return ERR_OK;
		}
		go_on = ahead == NULL || ahead(arg, line);
		json_decref(line);
		if (!go_on)
			return ERR_CANCELED;
	}
}

static enum err ask(const char *path, const json_t *request,
		    bool (*ahead)(void *arg, const json_t *line), void *arg,
		    json_t **answer, int *fd, char why[256])
{
	int s;
	enum err e = dial(path, &s, why);

	if (e != ERR_OK)
		return e;
	control_deadline(s);
	e = control_send(s, request);
	/* one that is too busy may answer before it was asked */
	if (e == ERR_OK || e == ERR_IO)
		e = await(s, ahead, arg, answer);
	if (e != ERR_OK)
		snprintf(why, 256, "the daemon did not answer: %s",
			 err_text(e));
	if (e == ERR_OK && fd != NULL)
		*fd = s;
	else
		close(s);
	return e;
}

enum err control_ask(const char *path, const struct json_t *request,
		     struct json_t **answer, int *fd, char why[256])
{
	return ask(path, request, NULL, NULL, answer, fd, why);
}

enum err control_ask_long(const char *path, const struct json_t *request,
			  bool (*ahead)(void *arg, const json_t *line),
			  void *arg, struct json_t **answer, char why[256])
{
	return ask(path, request, ahead, arg, answer, NULL, why);
}
