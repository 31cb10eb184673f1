#include "proxy/control_page.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/control_peer.h"
#include "proxy/lib/mem.h"

enum err control_page_mark(void)
{
	const struct rlimit none = {0, 0};

	return setrlimit(RLIMIT_MSGQUEUE, &none) == 0 ? ERR_OK : ERR_IO;
}

bool control_page_is(pid_t pid)
{
	struct rlimit theirs;

	return prlimit(pid, RLIMIT_MSGQUEUE, NULL, &theirs) != 0 ||
	       theirs.rlim_max == 0;
}

static bool is_one_of(const char *op, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(op, names[i]) == 0)
			return true;
	return false;
}

const char *control_page_refuses(const struct config *config,
				 const struct control_peer *peer,
				 const char *op, const json_t *request)
{
	static const char *const itself[] = {"status", "web-event"};
	static const char *const viewers[] = {"status", "audit-export",
					      "transfers-export", "receipt",
					      "search-key"};
	bool mine = peer->own ? is_one_of(op, itself, ARRAY_LEN(itself))
			      : is_one_of(op, viewers, ARRAY_LEN(viewers));

	if (!mine)
		return "the status page does not ask for that";
	if (json_object_get(request, "reveal") != NULL)
		return "the status page opens no patient's value";
	if (!peer->own && config->status.users[0] == '\0' &&
	    (peer->roles & ~(unsigned)ROLE_OPERATOR) != 0)
		return "nobody logs in to the status page: its viewers are "
		       "operators";
	return NULL;
}
