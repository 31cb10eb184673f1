#include "web-status/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/roles.h"
#include "proxy/lib/buf.h"
#include "proxy/lib/mem.h"
#include "proxy/lib/opener.h"
#include "web-status/password.h"
#include "web-status/utf8.h"

enum way { WAY_PASSWORD, WAY_FINGERPRINT, WAY_SUBJECT };

static const char *const ways[] = {"password", "fingerprint", "subject"};

struct entry {
	struct user user;
	enum way way;
	char value[USERS_VALUE_LEN];
};

struct users {
	size_t n;
	struct entry *v;
};

/* A piece of a line, not terminated. */
struct word {
	const char *p;
	size_t n;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct word word_next(const char **p, const char *end)
{
	struct word w;

	while (*p < end && blank(**p))
		(*p)++;
	w.p = *p;
	while (*p < end && !blank(**p))
		(*p)++;
	w.n = (size_t)(*p - w.p);
	return w;
}

/* What is left of the line, without blanks around it. */
static struct word word_rest(const char *p, const char *end)
{
	while (p < end && blank(*p))
		p++;
	while (end > p && blank(end[-1]))
		end--;
	return (struct word){p, (size_t)(end - p)};
}

static bool word_copy(struct word w, char *out, size_t size)
{
	if (w.n == 0 || w.n >= size || memchr(w.p, '\0', w.n) != NULL ||
	    !utf8_valid(w.p, w.n))
		return false;
	memcpy(out, w.p, w.n);
	out[w.n] = '\0';
	return true;
}

bool users_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n < WEB_USER_LEN && name[n] == '\0';
}

/* ---- one line ---------------------------------------------------------- */

static const char *read_roles(struct word w, unsigned *out)
{
	char text[ROLE_TEXT_LEN], *rest = text, *one;

	*out = 0;
	if (!word_copy(w, text, sizeof(text)))
		return "no roles; example: operator or operator,auditor";
	while ((one = strsep(&rest, ",")) != NULL) {
		if (role_parse(one) == 0)
			return "an unknown role; there are operator, security "
			       "and auditor";
		*out |= role_parse(one);
	}
	return NULL;
}

/* Lower case, without colons, 64 digits. */
static bool read_fingerprint(const char *text, char *out)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		char c =
		    *text >= 'A' && *text <= 'F' ? (char)(*text + 32) : *text;

		if (c == ':')
			continue;
		if (n == 64 || strchr("0123456789abcdef", c) == NULL)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n == 64;
}

static const char *read_value(struct entry *e, struct word w)
{
	char text[USERS_VALUE_LEN];

	if (!word_copy(w, text, sizeof(text)))
		return "no value behind it, or one that is too long";
	if (e->way == WAY_FINGERPRINT)
		return read_fingerprint(text, e->value)
			   ? NULL
			   : "a fingerprint that is not SHA-256: 64 "
			     "hexadecimal digits are wanted";
	if (e->way == WAY_PASSWORD && !password_is_encoded(text))
		return "a password that is not an argon2id hash; make it with "
		       "culvert web passwd";
	memcpy(e->value, text, sizeof(text));
	return NULL;
}

static const char *read_way(struct word w, enum way *out)
{
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (w.n == strlen(ways[i]) && memcmp(w.p, ways[i], w.n) == 0) {
			*out = (enum way)i;
			return NULL;
		}
	}
	return "no way to log in; there are password, fingerprint and subject";
}

/* What is wrong, or NULL. */
static const char *read_line(const char *p, const char *end, struct entry *e)
{
	struct word name = word_next(&p, end), roles = word_next(&p, end);
	const char *why;

	memset(e, 0, sizeof(*e));
	if (!word_copy(name, e->user.name, sizeof(e->user.name)) ||
	    !users_name_ok(e->user.name))
		return "a name that is not made of at most 64 letters, digits, "
		       "'.', '_' and '-'";
	why = read_roles(roles, &e->user.roles);
	if (why == NULL)
		why = read_way(word_next(&p, end), &e->way);
	if (why == NULL)
		why = read_value(e, word_rest(p, end));
	return why;
}

/* ---- the file ---------------------------------------------------------- */

static enum err add(struct users *u, const struct entry *e, char *why)
{
	struct entry *v;

	if (u->n == USERS_MAX) {
		snprintf(why, USERS_WHY_LEN, "more than %d lines", USERS_MAX);
		return ERR_LIMIT;
	}
	v = mem_realloc(u->v, (u->n + 1) * sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	u->v = v;
	u->v[u->n++] = *e;
	return ERR_OK;
}

static enum err parse_all(struct users *u, const char *text, size_t n,
			  char *why)
{
	const char *end = text + n;
	unsigned number = 0;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = stop != NULL ? stop : end;
		struct word all = word_rest(text, line_end);
		struct entry e;
		const char *wrong = NULL;
		enum err bad = ERR_OK;

		number++;
		if (all.n > 0 && all.p[0] != '#') {
			wrong = read_line(text, line_end, &e);
			if (wrong == NULL)
				bad = add(u, &e, why);
		}
		if (wrong != NULL) {
			snprintf(why, USERS_WHY_LEN, "line %u has %s", number,
				 wrong);
			return ERR_INVAL;
		}
		if (bad != ERR_OK)
			return bad;
		text = stop != NULL ? stop + 1 : end;
	}
	return ERR_OK;
}

enum err users_parse(const char *text, size_t n, struct users **out,
		     char why[USERS_WHY_LEN])
{
	struct users *u = mem_zalloc(sizeof(*u));
	enum err e = u != NULL ? ERR_OK : ERR_NOMEM;

	snprintf(why, USERS_WHY_LEN, "%s", err_text(ERR_NOMEM));
	if (e == ERR_OK)
		e = parse_all(u, text, n, why);
	if (e != ERR_OK) {
		users_free(u);
		return e;
	}
	*out = u;
	return ERR_OK;
}

static enum err open_file(const char *path, int *out, char *why)
{
	struct stat st;
	int fd = opener_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);

	if (fd < 0) {
		snprintf(why, USERS_WHY_LEN, "it cannot be read: %s",
			 strerror(errno));
		return errno == ENOENT   ? ERR_NOTFOUND
		       : errno == EACCES ? ERR_DENIED
					 : ERR_IO;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(why, USERS_WHY_LEN, "it is not a file");
		close(fd);
		return ERR_IO;
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH | S_IROTH)) != 0) {
		snprintf(why, USERS_WHY_LEN,
			 "others may write it, or everybody may read it; chmod "
			 "640 makes it right");
		close(fd);
		return ERR_DENIED;
	}
	*out = fd;
	return ERR_OK;
}

static enum err read_all(int fd, struct buf *b, char *why)
{
	uint8_t room[4096];
	ssize_t n;

	while ((n = read(fd, room, sizeof(room))) > 0) {
		enum err e = buf_append(b, room, (size_t)n);

		if (e != ERR_OK) {
			snprintf(why, USERS_WHY_LEN, "it is longer than %d KiB",
				 USERS_FILE_MAX / 1024);
			return e;
		}
	}
	if (n == 0)
		return ERR_OK;
	snprintf(why, USERS_WHY_LEN, "it cannot be read: %s", strerror(errno));
	return ERR_IO;
}

enum err users_load(const char *path, struct users **out,
		    char why[USERS_WHY_LEN])
{
	struct buf b;
	int fd = -1;
	enum err e = open_file(path, &fd, why);

	if (e != ERR_OK)
		return e;
	buf_init(&b, USERS_FILE_MAX);
	e = read_all(fd, &b, why);
	close(fd);
	if (e == ERR_OK)
		e = users_parse(buf_len(&b) > 0 ? (const char *)buf_data(&b)
						: "",
				buf_len(&b), out, why);
	buf_free(&b);
	return e;
}

void users_free(struct users *u)
{
	if (u == NULL)
		return;
	mem_free(u->v);
	mem_free(u);
}

/* ---- who --------------------------------------------------------------- */

static const struct entry *find(const struct users *u, enum way way,
				const char *value)
{
	for (size_t i = 0; value[0] != '\0' && i < u->n; i++)
		if (u->v[i].way == way && strcmp(u->v[i].value, value) == 0)
			return &u->v[i];
	return NULL;
}

bool users_by_certificate(const struct users *u, const char *fingerprint,
			  const char *subject, struct user *out)
{
	const struct entry *e = find(u, WAY_FINGERPRINT, fingerprint);

	if (e == NULL)
		e = find(u, WAY_SUBJECT, subject);
	if (e != NULL)
		*out = e->user;
	return e != NULL;
}

const char *users_by_name(const struct users *u, const char *name,
			  struct user *out)
{
	for (size_t i = 0; i < u->n; i++) {
		const struct entry *e = &u->v[i];

		if (e->way != WAY_PASSWORD || strcmp(e->user.name, name) != 0)
			continue;
		*out = e->user;
		return e->value;
	}
	return NULL;
}

bool users_have_passwords(const struct users *u)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].way == WAY_PASSWORD)
			return true;
	return false;
}

/* ---- editing ----------------------------------------------------------- */

/* Whether a line is to go: any of that name, or only its password. */
static bool is_replaced(const char *p, const char *end, const char *name,
			bool all)
{
	struct word who = word_next(&p, end), way;

	if (who.n != strlen(name) || memcmp(who.p, name, who.n) != 0)
		return false;
	(void)word_next(&p, end);
	way = word_next(&p, end);
	return all || (way.n == 8 && memcmp(way.p, "password", 8) == 0);
}

char *users_edit(const char *text, const char *name, const char *roles,
		 const char *encoded)
{
	size_t room =
	    strlen(text) + strlen(name) + USERS_VALUE_LEN + ROLE_TEXT_LEN + 16;
	char *out = mem_zalloc(room);
	size_t n = 0;

	while (out != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");

		if (!is_replaced(text, text + len, name, encoded == NULL)) {
			memcpy(out + n, text, len);
			n += len;
			out[n++] = '\n';
		}
		text += len + (text[len] == '\n');
	}
	if (out != NULL && encoded != NULL)
		snprintf(out + n, room - n, "%s %s password %s\n", name, roles,
			 encoded);
	return out;
}
