/* roles.h - who may do what: one table for the control socket and the page.
 *
 * There are three roles, and a person may hold any of them. Nothing is left to
 * the code that carries an order out: the control socket looks the operation
 * up here before it calls anything, the web server looks the address up here
 * before it calls a view, and the table in the documentation is printed from
 * here (`culvert rights`). What does not stand in the table is nobody's.
 *
 * On the socket the roles are those of the caller's groups, by the kernel's
 * word (SO_PEERCRED, SO_PEERGROUPS): the groups that control.groups names.
 * root and the user that the daemon runs as hold all three.
 *
 * Pure and constant; any thread. */
#ifndef POLICY_ROLES_H
#define POLICY_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum role {
	ROLE_OPERATOR = 1u << 0, /* steers queues */
	ROLE_SECURITY = 1u << 1, /* changes keys, certificates and rules */
	ROLE_AUDITOR = 1u << 2   /* reads the records, opens what is sealed */
};

enum {
	ROLE_NONE = 0,
	ROLE_ANY = ROLE_OPERATOR | ROLE_SECURITY | ROLE_AUDITOR,
	ROLE_COUNT = 3,
	ROLE_TEXT_LEN = 32 /* "operator,security,auditor" and its NUL */
};

/* What a row of the table is about. */
enum right_kind {
	RIGHT_OP,  /* an operation of the control socket: "retry" */
	RIGHT_PAGE /* an address of the page, without the query: "/audit" */
};

struct right {
	enum right_kind kind;
	const char *name;    /* of a page: "/study/" stands for all below it */
	unsigned roles;      /* any one of these will do */
	bool open;           /* needs no log-in and no role at all */
	const char *command; /* what asks for it: "culvert queue retry"; "" */
	const char *what;    /* one phrase for the documentation */
};

/* The i-th row, or NULL after the last. */
const struct right *right_at(size_t i);
/* The row of that name. A page that has no row of its own is looked for by the
 * longest row that ends in '/' and begins it. NULL: nobody may. */
const struct right *right_find(enum right_kind kind, const char *name);
/* Whether one who holds these roles may. false for what is not in the table. */
bool right_allows(enum right_kind kind, const char *name, unsigned roles);

/* "operator,auditor"; "none". out has ROLE_TEXT_LEN bytes; returns it. */
char *role_text(unsigned roles, char out[ROLE_TEXT_LEN]);
/* The bit of one name, or 0. */
unsigned role_parse(const char *name);
/* All the rows, as a table for a terminal or for Markdown. */
void rights_print(FILE *out, bool markdown);

#endif
