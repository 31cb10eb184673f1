/* document.h - a YAML document as a tree whose nodes know their place.
 *
 * The only user of libyaml. Bounded: CONFIG_FILE_MAX bytes, CONFIG_DEPTH_MAX
 * levels, DOCUMENT_NODES_MAX nodes, aliases counted as what they stand for. No
 * tags, one document. Internal to policy. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/config.h"

enum { DOCUMENT_NODES_MAX = 100000 };

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
	enum node_kind kind;
	struct config_mark at;     /* of the value */
	struct config_mark key_at; /* in a map: of the key */
	char *key;                 /* in a map; else NULL */
	char *text;                /* NODE_SCALAR: no NUL inside */
	struct node *child;        /* first of a map or list */
	struct node *next;         /* in the same map or list */
};

/* Parse text[0..len).
 *
 *   ERR_OK     *out is the root, to be freed with document_free()
 *   ERR_INVAL  one error was added to errors
 *   ERR_NOMEM */
enum err document_parse(const char *text, size_t len,
			struct config_errors *errors,
			struct node **out) MUST_CHECK;
void document_free(struct node *n);

/* "a map", "a list", "nothing", "a single value". */
const char *node_kind_text(enum node_kind k);

#endif
