#include "policy/document.h"

#include <limits.h>
#include <string.h>
#include <yaml.h>

#include "policy/problem.h"
#include "proxy/lib/mem.h"

enum { ANCHORS_MAX = 64 };

struct anchor {
	char *name;
	const struct node *node; /* in the tree; complete */
};

struct parse {
	yaml_parser_t yaml;
	struct config_errors *errors;
	size_t n_nodes;
	struct anchor anchors[ANCHORS_MAX];
	size_t n_anchors;
};

static enum err parse_node(struct parse *p, yaml_event_t *ev, int depth,
			   struct node **out) MUST_CHECK;

const char *node_kind_text(enum node_kind k)
{
	switch (k) {
	case NODE_NULL:
		return "nothing";
	case NODE_SCALAR:
		return "a single value";
	case NODE_MAP:
		return "a map";
	case NODE_LIST:
		return "a list";
	}
	return "?";
}

static struct config_mark mark_of(yaml_mark_t m)
{
	/* Columns and lines of a file of 1 MiB fit an int. */
	return (struct config_mark){(int)m.line + 1, (int)m.column + 1};
}

void document_free(struct node *n)
{
	while (n != NULL) {
		struct node *next = n->next;

		document_free(n->child); /* at most CONFIG_DEPTH_MAX deep */
		mem_free(n->key);
		mem_free(n->text);
		mem_free(n);
		n = next;
	}
}

static enum err fail(struct parse *p, yaml_mark_t at, const char *why)
{
	problem_error(p->errors, mark_of(at), "%s", why);
	return ERR_INVAL;
}

static enum err syntax_error(struct parse *p)
{
	const yaml_parser_t *y = &p->yaml;
	const char *problem = y->problem != NULL ? y->problem : "unreadable";
	bool reader = y->error == YAML_READER_ERROR;
	bool tab = strstr(problem, "cannot start any token") != NULL ||
		   strstr(problem, "tab character") != NULL;

	if (y->error == YAML_MEMORY_ERROR)
		return ERR_NOMEM;
	problem_error(p->errors, mark_of(reader ? y->mark : y->problem_mark),
		      "this is not YAML: %s%s%s%s", problem,
		      y->context != NULL ? " " : "",
		      y->context != NULL ? y->context : "",
		      tab ? "; indent with spaces, not with tabs, and quote "
			    "what begins with @"
			  : "");
	return ERR_INVAL;
}

static enum err next_event(struct parse *p, yaml_event_t *ev)
{
	return yaml_parser_parse(&p->yaml, ev) ? ERR_OK : syntax_error(p);
}

static enum err new_node(struct parse *p, yaml_mark_t at, struct node **out)
{
	if (++p->n_nodes > DOCUMENT_NODES_MAX)
		return fail(p, at, "too many values in one file");
	*out = mem_zalloc(sizeof(**out));
	if (*out == NULL)
		return ERR_NOMEM;
	(*out)->at = mark_of(at);
	return ERR_OK;
}

static char *copy_text(const char *s, size_t len)
{
	char *t = mem_zalloc(len + 1);

	if (t != NULL)
		memcpy(t, s, len);
	return t;
}

static bool is_null(const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;

	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0;
}

static enum err fill_scalar(struct parse *p, const yaml_event_t *ev,
			    struct node *n)
{
	const char *s = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;

	if (memchr(s, '\0', len) != NULL)
		return fail(p, ev->start_mark, "a NUL character in a value");
	n->kind = is_null(ev) ? NODE_NULL : NODE_SCALAR;
	n->text = copy_text(s, len);
	return n->text != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err copy_tree(struct parse *p, const struct node *from,
			  yaml_mark_t at, int depth, struct node **out)
{
	struct node *n, **tail;
	enum err e;

	if (depth > CONFIG_DEPTH_MAX)
		return fail(p, at, "nested too deeply");
	e = new_node(p, at, &n);
	if (e != ERR_OK)
		return e;
	*out = n;
	n->kind = from->kind;
	n->at = from->at;
	n->key_at = from->key_at;
	if ((from->key != NULL && (n->key = mem_strdup(from->key)) == NULL) ||
	    (from->text != NULL && (n->text = mem_strdup(from->text)) == NULL))
		return ERR_NOMEM;
	tail = &n->child;
	for (const struct node *c = from->child; c != NULL; c = c->next) {
		e = copy_tree(p, c, at, depth + 1, tail);
		if (e != ERR_OK)
			return e;
		tail = &(*tail)->next;
	}
	return ERR_OK;
}

/* An anchor stands for its node from its end on, so no cycle can be made. */
static enum err fill_alias(struct parse *p, const yaml_event_t *ev, int depth,
			   struct node **out)
{
	const char *name = (const char *)ev->data.alias.anchor;
	enum err e;

	for (size_t i = p->n_anchors; i-- > 0;) {
		if (strcmp(p->anchors[i].name, name) != 0)
			continue;
		e = copy_tree(p, p->anchors[i].node, ev->start_mark, depth,
			      out);
		if (*out != NULL) {
			(*out)->at = mark_of(ev->start_mark);
			mem_free((*out)->key);
			(*out)->key = NULL;
		}
		return e;
	}
	return fail(p, ev->start_mark,
		    "an alias (*name) without its anchor "
		    "(&name) before it; quote a value that "
		    "begins with '*'");
}

static enum err keep_anchor(struct parse *p, const char *name, yaml_mark_t at,
			    const struct node *n)
{
	struct anchor *a = &p->anchors[p->n_anchors];

	if (p->n_anchors == ANCHORS_MAX)
		return fail(p, at, "too many anchors in one file");
	a->name = mem_strdup(name);
	if (a->name == NULL)
		return ERR_NOMEM;
	a->node = n;
	p->n_anchors++;
	return ERR_OK;
}

static enum err take_key(struct parse *p, const yaml_event_t *ev, char **key,
			 struct config_mark *at)
{
	if (ev->type != YAML_SCALAR_EVENT)
		return fail(p, ev->start_mark, "a key must be a plain word");
	if (memchr(ev->data.scalar.value, '\0', ev->data.scalar.length) != NULL)
		return fail(p, ev->start_mark, "a NUL character in a key");
	if (ev->data.scalar.tag != NULL)
		return fail(p, ev->start_mark,
			    "tags (!name) are not used "
			    "here");
	*key = copy_text((const char *)ev->data.scalar.value,
			 ev->data.scalar.length);
	*at = mark_of(ev->start_mark);
	return *key != NULL ? ERR_OK : ERR_NOMEM;
}

/* One member of a map or entry of a list, whose first event is ev. */
static enum err parse_child(struct parse *p, yaml_event_t *ev, bool in_map,
			    int depth, struct node **out)
{
	struct config_mark key_at = {0, 0};
	char *key = NULL;
	yaml_event_t value;
	enum err e;

	if (!in_map)
		return parse_node(p, ev, depth, out);
	e = take_key(p, ev, &key, &key_at);
	if (e != ERR_OK)
		return e;
	e = next_event(p, &value);
	if (e == ERR_OK) {
		e = parse_node(p, &value, depth, out);
		yaml_event_delete(&value);
	}
	if (*out == NULL) {
		mem_free(key);
		return e;
	}
	(*out)->key = key;
	(*out)->key_at = key_at;
	return e;
}

static enum err fill_children(struct parse *p, struct node *n,
			      yaml_event_type_t end, int depth)
{
	struct node **tail = &n->child;

	if (depth >= CONFIG_DEPTH_MAX) {
		problem_error(p->errors, n->at, "nested too deeply");
		return ERR_INVAL;
	}
	for (;;) {
		yaml_event_t ev;
		enum err e = next_event(p, &ev);

		if (e != ERR_OK)
			return e;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			return ERR_OK;
		}
		e = parse_child(p, &ev, n->kind == NODE_MAP, depth + 1, tail);
		yaml_event_delete(&ev);
		if (e != ERR_OK)
			return e;
		tail = &(*tail)->next;
	}
}

struct opening {
	const char *tag;
	const char *anchor;
};

static struct opening opening_of(const yaml_event_t *ev)
{
	if (ev->type == YAML_SCALAR_EVENT)
		return (struct opening){(const char *)ev->data.scalar.tag,
					(const char *)ev->data.scalar.anchor};
	if (ev->type == YAML_MAPPING_START_EVENT)
		return (struct opening){
		    (const char *)ev->data.mapping_start.tag,
		    (const char *)ev->data.mapping_start.anchor};
	return (struct opening){(const char *)ev->data.sequence_start.tag,
				(const char *)ev->data.sequence_start.anchor};
}

static enum err fill_node(struct parse *p, const yaml_event_t *ev, int depth,
			  struct node *n)
{
	if (ev->type == YAML_SCALAR_EVENT)
		return fill_scalar(p, ev, n);
	if (ev->type == YAML_MAPPING_START_EVENT) {
		n->kind = NODE_MAP;
		return fill_children(p, n, YAML_MAPPING_END_EVENT, depth);
	}
	n->kind = NODE_LIST;
	return fill_children(p, n, YAML_SEQUENCE_END_EVENT, depth);
}

/* *out is set as soon as there is a node, so that what was built is freed with
 * the tree whatever happens next. */
static enum err parse_node(struct parse *p, yaml_event_t *ev, int depth,
			   struct node **out)
{
	struct opening o;
	enum err e;

	if (ev->type == YAML_ALIAS_EVENT)
		return fill_alias(p, ev, depth, out);
	if (ev->type != YAML_SCALAR_EVENT &&
	    ev->type != YAML_MAPPING_START_EVENT &&
	    ev->type != YAML_SEQUENCE_START_EVENT)
		return fail(p, ev->start_mark, "a value is missing here");
	o = opening_of(ev);
	if (o.tag != NULL)
		return fail(p, ev->start_mark,
			    "tags (!name) are not used "
			    "here");
	e = new_node(p, ev->start_mark, out);
	if (e == ERR_OK)
		e = fill_node(p, ev, depth, *out);
	if (e == ERR_OK && o.anchor != NULL)
		e = keep_anchor(p, o.anchor, ev->start_mark, *out);
	return e;
}

/* Skip events up to the first of the document's content. */
static enum err first_event(struct parse *p, yaml_event_t *ev)
{
	for (;;) {
		enum err e = next_event(p, ev);

		if (e != ERR_OK)
			return e;
		if (ev->type == YAML_STREAM_END_EVENT) {
			e = fail(p, ev->start_mark, "the file is empty");
			yaml_event_delete(ev);
			return e;
		}
		if (ev->type != YAML_STREAM_START_EVENT &&
		    ev->type != YAML_DOCUMENT_START_EVENT)
			return ERR_OK;
		yaml_event_delete(ev);
	}
}

static enum err expect_end(struct parse *p)
{
	for (;;) {
		yaml_event_t ev;
		enum err e = next_event(p, &ev);
		yaml_event_type_t type;

		if (e != ERR_OK)
			return e;
		type = ev.type;
		if (type == YAML_DOCUMENT_START_EVENT)
			e = fail(p, ev.start_mark,
				 "a second document: one "
				 "file holds one "
				 "configuration");
		yaml_event_delete(&ev);
		if (e != ERR_OK || type == YAML_STREAM_END_EVENT ||
		    type == YAML_NO_EVENT)
			return e;
	}
}

static enum err parse_document(struct parse *p, struct node **root)
{
	yaml_event_t ev;
	enum err e = first_event(p, &ev);

	if (e != ERR_OK)
		return e;
	e = parse_node(p, &ev, 0, root);
	yaml_event_delete(&ev);
	return e == ERR_OK ? expect_end(p) : e;
}

enum err document_parse(const char *text, size_t len,
			struct config_errors *errors, struct node **out)
{
	struct parse p = {.errors = errors};
	struct node *root = NULL;
	enum err e;

	if (len > CONFIG_FILE_MAX) {
		problem_error(errors, (struct config_mark){1, 1},
			      "the file is larger than %d bytes",
			      CONFIG_FILE_MAX);
		return ERR_INVAL;
	}
	if (!yaml_parser_initialize(&p.yaml))
		return ERR_NOMEM;
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, len);
	e = parse_document(&p, &root);
	yaml_parser_delete(&p.yaml);
	for (size_t i = 0; i < p.n_anchors; i++)
		mem_free(p.anchors[i].name);
	if (e != ERR_OK) {
		document_free(root);
		return e;
	}
	*out = root;
	return ERR_OK;
}
