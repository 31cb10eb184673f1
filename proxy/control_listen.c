/* control_listen.c - the socket itself.
 *
 * Everybody on the machine may connect to it (mode 0666): the three roles are
 * three groups, and a file has but one. Who is without a role is told so and
 * gets no further; the kernel says who it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/control_int.h"

static bool someone_answers(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes = fd >= 0 && (connect(fd, (const struct sockaddr *)sun,
				       sizeof(*sun)) == 0 ||
			       errno == EAGAIN); /* its backlog is full */

	if (fd >= 0)
		close(fd);
	return yes;
}

/* Between bind and chmod the mode is what the umask leaves: less, never more.
 */
static int bind_at(const char *path, const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
	    bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 &&
	    chmod(path, 0666) == 0 && listen(fd, CONTROL_CONNECTIONS) == 0)
		return fd;
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

enum err control_listen(const char *path, int *out, char why[256])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(why, 256,
			 "control.path is longer than %zu bytes; choose a "
			 "shorter one",
			 sizeof(sun.sun_path) - 1);
		return ERR_INVAL;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (someone_answers(&sun)) {
		snprintf(why, 256,
			 "another daemon answers at %.150s; stop it, or give "
			 "this one its own control.path",
			 path);
		return ERR_EXISTS;
	}
	/* of one that was killed; never what is not ours to remove */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	*out = bind_at(path, &sun);
	if (*out < 0) {
		snprintf(why, 256, "cannot listen at %.150s: %s", path,
			 strerror(errno));
		return ERR_IO;
	}
	return ERR_OK;
}
