#include "proxy/control_peer.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/config.h"
#include "proxy/control_page.h"
#include "proxy/lib/mem.h"

/* One entry of the system's databases; a group may have many members. */
enum { ROOM_FIRST = 4096, ROOM_MAX = 1024 * 1024, AS_NAME_LEN = 40 };

/* ---- names ---------------------------------------------------------------
 */

static void user_name(uid_t uid, char *out, size_t size)
{
	struct passwd p, *found = NULL;
	char room[ROOM_FIRST];

	out[0] = '\0';
	if (getpwuid_r(uid, &p, room, sizeof(room), &found) == 0 &&
	    found != NULL)
		snprintf(out, size, "%s", p.pw_name);
}

static bool all_digits(const char *text)
{
	return text[0] != '\0' && strspn(text, "0123456789") == strlen(text) &&
	       strlen(text) < 10;
}

/* A group by name, or by number where no group has such a name. */
static bool group_id(const char *name, gid_t *out)
{
	struct group g, *found = NULL;
	int rc = ERANGE;

	for (size_t size = ROOM_FIRST; rc == ERANGE && size <= ROOM_MAX;
	     size *= 4) {
		char *room = mem_zalloc(size);

		if (room == NULL)
			return false;
		rc = getgrnam_r(name, &g, room, size, &found);
		if (rc == 0 && found != NULL)
			*out = g.gr_gid;
		mem_free(room);
	}
	if (found == NULL && all_digits(name)) {
		*out = (gid_t)strtoul(name, NULL, 10);
		return true;
	}
	return rc == 0 && found != NULL;
}

/* ---- groups --------------------------------------------------------------
 */

static gid_t *peer_groups(int fd, size_t *n)
{
	socklen_t len = 0;
	gid_t *list;

	*n = 0;
	/* a null buffer asks for the length */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) != 0 &&
	    errno != ERANGE)
		return NULL;
	list = mem_zarray(len / sizeof(gid_t) + 1, sizeof(gid_t));
	if (list == NULL)
		return NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list, &len) == 0)
		*n = len / sizeof(gid_t);
	return list;
}

static bool is_member(const char *group, gid_t own, const gid_t *list, size_t n)
{
	gid_t wanted = 0;

	if (group[0] == '\0' || !group_id(group, &wanted))
		return false;
	if (own == wanted)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (list[i] == wanted)
			return true;
	}
	return false;
}

static unsigned roles_by_group(const struct config *c, int fd, gid_t own)
{
	const struct {
		unsigned role;
		const char *group;
	} by[] = {{ROLE_OPERATOR, c->control.groups.operators},
		  {ROLE_SECURITY, c->control.groups.security},
		  {ROLE_AUDITOR, c->control.groups.auditors}};
	unsigned roles = ROLE_NONE;
	size_t n;
	gid_t *list = peer_groups(fd, &n);

	for (size_t i = 0; i < ARRAY_LEN(by); i++) {
		if (is_member(by[i].group, own, list, n))
			roles |= by[i].role;
	}
	mem_free(list);
	return roles;
}

enum err control_peer_read(const struct config *config, int fd,
			   struct control_peer *out)
{
	struct ucred who = {0};
	socklen_t len = sizeof(who);
	char name[AS_NAME_LEN];

	*out = (struct control_peer){.uid = (uid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 ||
	    len != sizeof(who))
		return ERR_IO;
	out->uid = who.uid;
	out->pid = who.pid;
	out->own = who.uid == 0 || who.uid == geteuid();
	out->page = who.uid == geteuid() && control_page_is(who.pid);
	out->roles =
	    out->own ? (unsigned)ROLE_ANY : roles_by_group(config, fd, who.gid);
	user_name(who.uid, name, sizeof(name));
	snprintf(out->user, sizeof(out->user), "uid %u%s%s", who.uid,
		 name[0] != '\0' ? " " : "", name);
	return ERR_OK;
}

/* ---- on behalf of --------------------------------------------------------
 */

/* A name that can stand in a record: printable, of no quotes. */
static bool good_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= AS_NAME_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isprint((unsigned char)name[i]) || name[i] == '"' ||
		    name[i] == '\\')
			return false;
	}
	return true;
}

static bool roles_of(const json_t *list, unsigned *out)
{
	const json_t *v;
	size_t i;

	*out = ROLE_NONE;
	json_array_foreach((json_t *)list, i, v)
	{
		const char *name = json_string_value(v);
		unsigned role = name != NULL ? role_parse(name) : 0;

		if (role == 0)
			return false;
		*out |= role;
	}
	return json_is_array(list);
}

enum err control_peer_as(struct control_peer *peer, const json_t *request)
{
	const json_t *as = json_object_get(request, "as");
	const char *name = json_string_value(json_object_get(as, "user"));
	unsigned roles;
	char by[CONTROL_USER_LEN];

	if (as == NULL)
		return ERR_OK;
	if (!peer->own)
		return ERR_DENIED;
	if (name == NULL || !good_name(name) ||
	    !roles_of(json_object_get(as, "roles"), &roles))
		return ERR_PROTO;
	peer->own = false;
	peer->roles &= roles;
	memcpy(by, peer->user, sizeof(by));
	snprintf(peer->user, sizeof(peer->user), "%s by %.*s", name,
		 (int)(sizeof(peer->user) - AS_NAME_LEN - 5), by);
	return ERR_OK;
}
