/* One option's field, from a node: by the option's type. */
#include <string.h>

#include "policy/build.h"
#include "policy/problem.h"
#include "policy/syntaxes.h"
#include "policy/value.h"
#include "proxy/lib/mem.h"

/* What every list struct of config.h looks like. */
struct list_field {
	size_t n;
	void *v;
};

_Static_assert(sizeof(struct list_field) == sizeof(struct config_aes) &&
		   offsetof(struct list_field, v) ==
		       offsetof(struct config_aes, v),
	       "lists share one layout");

struct set {
	struct build *b;
	const struct option *o;
	unsigned char *field;
};

static const char *last_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL ? dot + 1 : path;
}

/* why begins with what follows the quoted value: "is not ..." */
static void wrong(const struct set *s, const struct node *n, const char *why,
		  const char *nearest)
{
	char quoted[PROBLEM_QUOTE_LEN];

	problem_error(s->b->errors, n->at, "%s %s%s%s%s; example: %s: %s",
		      problem_quote(n->text, quoted), why,
		      nearest != NULL ? "; did you mean '" : "",
		      nearest != NULL ? nearest : "",
		      nearest != NULL ? "'?" : "", last_name(s->o->path),
		      s->o->example);
}

static void store(const struct set *s, uint64_t v)
{
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	if (s->o->width == sizeof(v16))
		memcpy(s->field, &v16, sizeof(v16));
	else if (s->o->width == sizeof(v32))
		memcpy(s->field, &v32, sizeof(v32));
	else
		memcpy(s->field, &v, sizeof(v));
}

static void measure_text(enum option_type t, uint64_t v,
			 char out[VALUE_TEXT_LEN])
{
	if (t == OPTION_DURATION)
		value_duration_text(v, out);
	else if (t == OPTION_SIZE)
		value_size_text(v, out);
	else if (t == OPTION_BANDWIDTH)
		value_bandwidth_text(v, out);
	else
		snprintf(out, VALUE_TEXT_LEN, "%llu%s", (unsigned long long)v,
			 t == OPTION_PERCENT ? "%" : "");
}

/* False, and the error is added, for what is not a value of o. */
static bool measure(const struct set *s, const struct node *n, uint64_t *out)
{
	static const struct {
		bool (*parse)(const char *, uint64_t *);
		const char *wrong;
	} kinds[] = {
	    [OPTION_NUMBER] = {value_number, "is not a whole number"},
	    [OPTION_PERCENT] = {value_percent, "is not a percentage"},
	    [OPTION_SIZE] = {value_size,
			     "is not a size (bytes, or with KiB, MiB, GiB, "
			     "TiB, kB, MB, GB, TB)"},
	    [OPTION_DURATION] = {value_duration,
				 "is not a duration (a number with ms, s, m, "
				 "h, d, w or y)"},
	    [OPTION_BANDWIDTH] = {value_bandwidth,
				  "is not a bandwidth (a number with bit, "
				  "kbit, Mbit or Gbit, or none)"},
	};
	const struct option *o = s->o;
	enum option_type type =
	    o->type == OPTION_NUMBERS ? OPTION_NUMBER : o->type;
	char low[VALUE_TEXT_LEN], high[VALUE_TEXT_LEN];
	char why[VALUE_TEXT_LEN * 2 + 40];

	if (!kinds[type].parse(n->text, out)) {
		wrong(s, n, kinds[type].wrong, NULL);
		return false;
	}
	if (type == OPTION_BANDWIDTH && *out == 0)
		return true; /* none */
	if (*out >= o->min && (o->max == 0 || *out <= o->max))
		return true;
	measure_text(type, o->min, low);
	measure_text(type, o->max, high);
	snprintf(why, sizeof(why), "is out of range: from %s to %s", low, high);
	wrong(s, n, why, NULL);
	return false;
}

static void set_measure(const struct set *s, const struct node *n)
{
	uint64_t v;

	if (measure(s, n, &v))
		store(s, v);
}

static const struct option_word *find_word(const struct set *s,
					   const struct node *n)
{
	struct nearest near = {.text = n->text};
	char why[256] = "is not one of", *end = why + sizeof(why);
	const struct option_word *w = s->o->words;
	char *at = why + strlen(why);

	for (; w->word != NULL && strcmp(w->word, n->text) != 0; w++) {
		nearest_offer(&near, w->later == NULL ? w->word : "");
		if (w->later == NULL)
			at += snprintf(at, (size_t)(end - at), "%s %s",
				       w == s->o->words ? "" : ",", w->word);
	}
	if (w->word == NULL) {
		wrong(s, n, why, near.best);
		return NULL;
	}
	if (w->later != NULL) {
		snprintf(why, sizeof(why), "cannot be used: %s", w->later);
		wrong(s, n, why, NULL);
		return NULL;
	}
	return w;
}

static void set_word(const struct set *s, const struct node *n, bool add)
{
	const struct option_word *w = find_word(s, n);
	uint32_t old = 0;

	if (w == NULL)
		return;
	if (add)
		memcpy(&old, s->field, sizeof(old));
	store(s, old | w->value);
}

static void set_chars(const struct set *s, const char *text)
{
	memset(s->field, 0, s->o->width);
	memcpy(s->field, text, strlen(text));
}

static void set_name(const struct set *s, const struct node *n)
{
	if (value_name(n->text))
		set_chars(s, n->text);
	else
		wrong(s, n, "is not a name (1 to 32 of a-z, 0-9 and -)", NULL);
}

static const char ae_wrong[] = "is not an AE title (1 to 16 characters, no "
			       "backslash, not only spaces)";

static void set_ae(const struct set *s, const struct node *n)
{
	char ae[CONFIG_AE_LEN];

	if (value_ae(n->text, ae))
		set_chars(s, ae);
	else
		wrong(s, n, ae_wrong, NULL);
}

/* Characters that would not be one visible line: controls, line and paragraph
 * separators, byte order marks. libyaml has checked that it is UTF-8. */
static bool has_control(const char *text)
{
	static const char *const others[] = {"\xe2\x80\xa8", "\xe2\x80\xa9",
					     "\xef\xbb\xbf", "\xef\xbf\xbe",
					     "\xef\xbf\xbf"};

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strstr(text, others[i]) != NULL)
			return true;
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && (unsigned char)text[1] < 0xa0))
			return true;
	}
	return false;
}

static void set_path(const struct set *s, const struct node *n)
{
	char path[CONFIG_PATH_LEN];
	const char *dir = n->text[0] == '/' ? "" : s->b->dir;
	int len = snprintf(path, sizeof(path), "%s%s%s", dir,
			   dir[0] != '\0' ? "/" : "", n->text);

	if (strncmp(n->text, "pkcs11:", 7) == 0)
		wrong(s, n,
		      "cannot be used: keys in an HSM are not in this "
		      "version",
		      NULL);
	else if (n->text[0] == '\0' || has_control(n->text))
		wrong(s, n, "is not a path", NULL);
	else if (len < 0 || (size_t)len >= sizeof(path))
		wrong(s, n, "is too long for a path", NULL);
	else
		set_chars(s, path);
}

static void set_host(const struct set *s, const struct node *n)
{
	if (value_host(n->text))
		set_chars(s, n->text);
	else
		wrong(s, n, "is not a host name or an address", NULL);
}

static bool text_ok(const struct set *s, const struct node *n)
{
	bool blank = n->text[strspn(n->text, " \t")] == '\0';

	if (blank || has_control(n->text))
		wrong(s, n, "is blank or not on one line", NULL);
	else if (strlen(n->text) >= CONFIG_TEXT_LEN)
		wrong(s, n, "is too long: 255 bytes at most", NULL);
	else
		return true;
	return false;
}

static void set_text(const struct set *s, const struct node *n)
{
	if (text_ok(s, n))
		set_chars(s, n->text);
}

static void set_zone(const struct set *s, const struct node *n)
{
	if (value_zone(n->text))
		set_chars(s, n->text);
	else
		wrong(s, n, "is not the name of a time zone", NULL);
}

static void set_rate(const struct set *s, const struct node *n)
{
	struct config_rate rate;

	if (value_rate(n->text, &rate))
		memcpy(s->field, &rate, sizeof(rate));
	else
		wrong(s, n,
		      "is not a rate (a number, a slash and s, min, h, d "
		      "or a duration up to a day)",
		      NULL);
}

static void set_address(const struct set *s, const struct node *n)
{
	struct config_endpoint ep;
	uint8_t address[16];

	if (!value_endpoint(n->text, &ep))
		wrong(s, n, "is not address:port ([address]:port for IPv6)",
		      NULL);
	else if (!value_address(ep.host, address))
		wrong(s, n, "must be a numeric address to listen on", NULL);
	else
		memcpy(s->field, &ep, sizeof(ep));
}

static void set_endpoint(const struct set *s, const struct node *n)
{
	struct config_endpoint ep = {.port = 0};

	if (value_host(n->text))
		(void)snprintf(ep.host, sizeof(ep.host), "%s", n->text);
	else if (!value_endpoint(n->text, &ep)) {
		wrong(s, n,
		      "is not a host or host:port ([address]:port for IPv6)",
		      NULL);
		return;
	}
	memcpy(s->field, &ep, sizeof(ep));
}

/* Lists. */

static enum err append(const struct set *s, const struct node *n,
		       const void *entry, size_t size)
{
	struct list_field list;
	void *v;

	memcpy(&list, s->field, sizeof(list));
	if (list.n == CONFIG_LIST_MAX) {
		wrong(s, n, "is one too many: 256 in a list at most", NULL);
		return ERR_OK;
	}
	v = mem_realloc(list.v, (list.n + 1) * size);
	if (v == NULL)
		return ERR_NOMEM;
	memcpy((unsigned char *)v + list.n * size, entry, size);
	list.v = v;
	list.n++;
	memcpy(s->field, &list, sizeof(list));
	return ERR_OK;
}

static enum err add_ae(const struct set *s, const struct node *n)
{
	char ae[CONFIG_AE_LEN];

	if (value_ae(n->text, ae) &&
	    (strcmp(ae, "*") != 0 || (s->o->flags & OPTION_ANY_AE) != 0))
		return append(s, n, ae, sizeof(ae));
	wrong(s, n, ae_wrong, NULL);
	return ERR_OK;
}

static enum err add_network(const struct set *s, const struct node *n)
{
	struct config_network net;
	char near[CONFIG_NETWORK_TEXT_LEN];

	switch (value_network(n->text, &net)) {
	case VALUE_NETWORK_OK:
		return append(s, n, &net, sizeof(net));
	case VALUE_NETWORK_HOST_BITS:
		wrong(s, n, "names a host and a range at once",
		      config_network_text(&net, near));
		return ERR_OK;
	case VALUE_NETWORK_BAD:
		wrong(s, n,
		      "is not a numeric address or range; names are not "
		      "looked up here, since DNS can be forged",
		      NULL);
		return ERR_OK;
	}
	return ERR_OK;
}

static enum err add_endpoint(const struct set *s, const struct node *n)
{
	struct config_endpoint ep;

	if (value_endpoint(n->text, &ep))
		return append(s, n, &ep, sizeof(ep));
	wrong(s, n, "is not host:port ([address]:port for IPv6)", NULL);
	return ERR_OK;
}

static enum err add_syntax(const struct set *s, const struct node *n)
{
	char uid[CONFIG_UID_LEN] = "";
	const char *known = syntax_uid(n->text);
	struct nearest near = {.text = n->text};
	const struct syntax *each;

	if (known == NULL && value_uid(n->text))
		known = n->text;
	if (known != NULL) {
		snprintf(uid, sizeof(uid), "%s", known);
		return append(s, n, uid, sizeof(uid));
	}
	for (size_t i = 0; (each = syntax_at(i)) != NULL; i++)
		nearest_offer(&near, each->name);
	wrong(s, n, "is not a transfer syntax's name or UID", near.best);
	return ERR_OK;
}

static enum err add_text(const struct set *s, const struct node *n)
{
	char text[CONFIG_TEXT_LEN] = "";

	if (!text_ok(s, n))
		return ERR_OK;
	memcpy(text, n->text, strlen(n->text));
	return append(s, n, text, sizeof(text));
}

static enum err add_fingerprint(const struct set *s, const struct node *n)
{
	char hex[CONFIG_FINGERPRINT_LEN];

	if (value_fingerprint(n->text, hex))
		return append(s, n, hex, sizeof(hex));
	wrong(s, n, "is not a SHA-256 fingerprint (64 hexadecimal digits)",
	      NULL);
	return ERR_OK;
}

static enum err add_number(const struct set *s, const struct node *n)
{
	uint64_t v;
	uint32_t v32;

	if (!measure(s, n, &v))
		return ERR_OK;
	v32 = (uint32_t)v; /* max is less in the table */
	return append(s, n, &v32, sizeof(v32));
}

/* "@NAME" is the device of that name as a destination. */
static bool is_destination(const char *text)
{
	if (text[0] != '@')
		return value_name(text);
	return value_name(text + 1) && strlen(text) < CONFIG_NAME_LEN;
}

/* Names are looked up when all of the file has been read. */
static enum err add_ref(const struct set *s, const struct node *n)
{
	struct config_ref ref = {.at = n->at};
	bool to = s->o->type == OPTION_DESTINATIONS ||
		  s->o->type == OPTION_DESTINATION;

	if (to ? is_destination(n->text) : value_name(n->text)) {
		memcpy(ref.name, n->text, strlen(n->text));
		return append(s, n, &ref, sizeof(ref));
	}
	wrong(s, n, "is not a name (1 to 32 of a-z, 0-9 and -)", NULL);
	return ERR_OK;
}

static bool takes_list(enum option_type t)
{
	return t == OPTION_SET || (t >= OPTION_AES && t != OPTION_DESTINATION);
}

static bool is_on_heap(enum option_type t)
{
	return t >= OPTION_AES;
}

static void wrong_kind(const struct set *s, const struct node *n)
{
	problem_error(s->b->errors, n->at,
		      "%s stands here where %s is meant: %s; example: %s: %s",
		      node_kind_text(n->kind),
		      takes_list(s->o->type) ? "a list or a single value"
					     : "a single value",
		      option_type_text(s->o->type), last_name(s->o->path),
		      s->o->example);
}

static enum err set_scalar(const struct set *s, const struct node *n)
{
	switch (s->o->type) {
	case OPTION_NUMBER:
	case OPTION_PERCENT:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_BANDWIDTH:
		set_measure(s, n);
		return ERR_OK;
	case OPTION_ENUM:
		set_word(s, n, false);
		return ERR_OK;
	case OPTION_SET:
		set_word(s, n, true);
		return ERR_OK;
	case OPTION_NAME:
		set_name(s, n);
		return ERR_OK;
	case OPTION_AE:
		set_ae(s, n);
		return ERR_OK;
	case OPTION_PATH:
		set_path(s, n);
		return ERR_OK;
	case OPTION_HOST:
		set_host(s, n);
		return ERR_OK;
	case OPTION_TEXT:
		set_text(s, n);
		return ERR_OK;
	case OPTION_ZONE:
		set_zone(s, n);
		return ERR_OK;
	case OPTION_RATE:
		set_rate(s, n);
		return ERR_OK;
	case OPTION_ADDRESS:
		set_address(s, n);
		return ERR_OK;
	case OPTION_ENDPOINT:
		set_endpoint(s, n);
		return ERR_OK;
	case OPTION_AES:
		return add_ae(s, n);
	case OPTION_NETWORKS:
		return add_network(s, n);
	case OPTION_ENDPOINTS:
		return add_endpoint(s, n);
	case OPTION_SYNTAXES:
		return add_syntax(s, n);
	case OPTION_TEXTS:
		return add_text(s, n);
	case OPTION_FINGERPRINTS:
		return add_fingerprint(s, n);
	case OPTION_LISTENERS:
	case OPTION_DEVICES:
	case OPTION_DESTINATIONS:
	case OPTION_DESTINATION:
		return add_ref(s, n);
	case OPTION_NUMBERS:
		return add_number(s, n);
	case OPTION_TIMETABLE:
		wrong_kind(s, n);
		return ERR_OK;
	}
	return ERR_OK;
}

static enum err set_list(const struct set *s, const struct node *n)
{
	if (n->child == NULL)
		problem_error(s->b->errors, n->at,
			      "an empty list; leave '%s' out for its default, "
			      "or name one; example: %s: %s",
			      last_name(s->o->path), last_name(s->o->path),
			      s->o->example);
	for (const struct node *c = n->child;
	     c != NULL && s->b->errors->n_errors <= CONFIG_PROBLEMS_MAX;
	     c = c->next) {
		enum err e = ERR_OK;

		if (c->kind == NODE_SCALAR)
			e = set_scalar(s, c);
		else
			wrong_kind(s, c);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err set_option(struct build *b, const struct option *o, void *base,
		    const struct node *n)
{
	struct set s = {b, o, (unsigned char *)base + o->offset};

	if (o->type == OPTION_TIMETABLE)
		return set_timetable(b, o, s.field, n);
	if (n->kind == NODE_SCALAR)
		return set_scalar(&s, n);
	if (n->kind == NODE_LIST && takes_list(o->type))
		return set_list(&s, n);
	wrong_kind(&s, n);
	return ERR_OK;
}

enum err set_default(struct build *b, const struct option *o, void *base)
{
	struct set s = {b, o, (unsigned char *)base + o->offset};
	char text[CONFIG_TEXT_LEN], *rest = text, *word;
	struct node n = {.kind = NODE_SCALAR};

	if (o->initial == NULL)
		return ERR_OK;
	snprintf(text, sizeof(text), "%s", o->initial);
	while ((word = strsep(&rest, ",")) != NULL) {
		enum err e;

		n.text = word + strspn(word, " ");
		e = set_scalar(&s, &n);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

void set_free(const struct option *o, void *base)
{
	unsigned char *field = (unsigned char *)base + o->offset;
	struct list_field list;

	if (!is_on_heap(o->type))
		return;
	memcpy(&list, field, sizeof(list));
	mem_free(list.v);
	memset(field, 0, sizeof(list));
}

void set_free_members(void *base, const char *scope)
{
	const struct option *o;

	for (size_t i = 0; (o = option_at(i)) != NULL; i++)
		if (strcmp(option_scope(o->path), scope) == 0)
			set_free(o, base);
}

void set_free_all(void *array, size_t n, size_t size, const char *scope)
{
	for (size_t i = 0; i < n; i++)
		set_free_members((unsigned char *)array + i * size, scope);
	mem_free(array);
}
