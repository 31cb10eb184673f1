/* build.h - from the tree of a document to the structs, by the option table.
 * Internal to policy. */
#ifndef POLICY_BUILD_H
#define POLICY_BUILD_H

#include "policy/config.h"
#include "policy/document.h"
#include "policy/option.h"

/* Where each option was set, sorted by path once loading has ended. */
struct config_places {
	size_t n, cap;
	struct config_place {
		char *path;
		struct config_mark at;
	} * v;
};

struct build {
	struct config *cfg;
	struct config_errors *errors;
	const char *dir; /* of the file; "" for the working directory */
};

/* Fill b->cfg, which is zeroed, from the document. Everything wrong is added
 * to b->errors and skipped. ERR_NOMEM. */
enum err build_config(struct build *b, const struct node *root) MUST_CHECK;

/* Set o's field in base from n, adding errors to b->errors. ERR_NOMEM. */
enum err set_option(struct build *b, const struct option *o, void *base,
		    const struct node *n) MUST_CHECK;
/* Set a timetable's field from n, as set_option() does. */
enum err set_timetable(struct build *b, const struct option *o, void *field,
		       const struct node *n) MUST_CHECK;
/* Set o's field in base to its default. ERR_NOMEM. */
enum err set_default(struct build *b, const struct option *o,
		     void *base) MUST_CHECK;
/* Free what o's field in base holds on the heap. */
void set_free(const struct option *o, void *base);

/* Free what the struct of a scope holds on the heap; then n of them in an
 * array and the array itself. */
void set_free_members(void *base, const char *scope);
void set_free_all(void *array, size_t n, size_t size, const char *scope);

enum err places_add(struct config_places *p, const char *path,
		    struct config_mark at) MUST_CHECK;
void places_sort(struct config_places *p);
void places_free(struct config_places *p);

#endif
