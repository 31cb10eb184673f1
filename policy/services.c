#include "policy/services.h"

#include <stddef.h>
#include <string.h>

#include "proxy/dicom/command.h"
#include "proxy/dicom/uid.h"
#include "proxy/lib/mem.h"

/* Kinds of requests. */
enum {
	STORE = 1u << 0,
	FIND = 1u << 1,
	MOVE = 1u << 2,
	GET = 1u << 3,
	ECHO = 1u << 4,
	CANCEL = 1u << 5,
	EVENT = 1u << 6,
	N_GET = 1u << 7,
	N_SET = 1u << 8,
	ACTION = 1u << 9,
	CREATE = 1u << 10,
	DELETE = 1u << 11,

	NORMALIZED = EVENT | N_GET | N_SET | ACTION | CREATE | DELETE,
	EVERY = (DELETE << 1) - 1,

	/* What PS3.4 pairs. */
	FINDS = FIND | CANCEL,
	MOVES = MOVE | CANCEL,
	GETS = GET | CANCEL,
	RETRIEVES = FIND | MOVE | GET | CANCEL
};

static const struct {
	uint16_t field;
	uint16_t kind;
} kinds[] = {
    {C_STORE_RQ, STORE},   {C_FIND_RQ, FIND},     {C_MOVE_RQ, MOVE},
    {C_GET_RQ, GET},       {C_ECHO_RQ, ECHO},     {C_CANCEL_RQ, CANCEL},
    {N_GET_RQ, N_GET},     {N_SET_RQ, N_SET},     {N_EVENT_REPORT_RQ, EVENT},
    {N_ACTION_RQ, ACTION}, {N_CREATE_RQ, CREATE}, {N_DELETE_RQ, DELETE},
};

/* Classes below UID_PREFIX; one that ends in a dot is a family. The first
 * that fits counts, so classes stand before their family. */
struct class
{
	const char *tail;
	unsigned service;
	unsigned messages;
};

static const struct class classes[] = {
    {"1.1", CONFIG_VERIFICATION, ECHO}, /* annex A */

    /* Annex J; the pull model (1.20.2) was retired long ago. */
    {"1.20.1", CONFIG_COMMITMENT, ACTION | EVENT},

    /* Annex F: step, its retrieval, its notification. */
    {"3.1.2.3.3", CONFIG_MPPS, CREATE | N_SET},
    {"3.1.2.3.4", CONFIG_MPPS, N_GET},
    {"3.1.2.3.5", CONFIG_MPPS, EVENT},

    {"5.1.4.31", CONFIG_WORKLIST, FINDS}, /* annex K */

    /* Annex C, by root: patient, study, patient/study only (retired), then
     * composite instance (annex Y) and the same without bulk data (Z). */
    {"5.1.4.1.2.1.1", CONFIG_QUERY, FINDS},
    {"5.1.4.1.2.1.2", CONFIG_QUERY, MOVES},
    {"5.1.4.1.2.1.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.2.2.1", CONFIG_QUERY, FINDS},
    {"5.1.4.1.2.2.2", CONFIG_QUERY, MOVES},
    {"5.1.4.1.2.2.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.2.3.1", CONFIG_QUERY, FINDS},
    {"5.1.4.1.2.3.2", CONFIG_QUERY, MOVES},
    {"5.1.4.1.2.3.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.2.4.2", CONFIG_QUERY, MOVES},
    {"5.1.4.1.2.4.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.2.5.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.2.", CONFIG_QUERY, RETRIEVES},

    /* The same for what is not a patient's: defined procedure protocols,
     * protocol approvals, inventories, hanging protocols, palettes, implant
     * templates. */
    {"5.1.4.20.1", CONFIG_QUERY, FINDS},
    {"5.1.4.20.2", CONFIG_QUERY, MOVES},
    {"5.1.4.20.3", CONFIG_QUERY, GETS},
    {"5.1.4.1.1.200.4", CONFIG_QUERY, FINDS},
    {"5.1.4.1.1.200.5", CONFIG_QUERY, MOVES},
    {"5.1.4.1.1.200.6", CONFIG_QUERY, GETS},
    {"5.1.4.1.1.201.2", CONFIG_QUERY, FINDS},
    {"5.1.4.1.1.201.3", CONFIG_QUERY, MOVES},
    {"5.1.4.1.1.201.4", CONFIG_QUERY, GETS},
    {"5.1.4.1.1.201.6", CONFIG_QUERY, FINDS}, /* repository query */
    {"5.1.4.38.2", CONFIG_QUERY, FINDS},
    {"5.1.4.38.3", CONFIG_QUERY, MOVES},
    {"5.1.4.38.4", CONFIG_QUERY, GETS},
    {"5.1.4.39.2", CONFIG_QUERY, FINDS},
    {"5.1.4.39.3", CONFIG_QUERY, MOVES},
    {"5.1.4.39.4", CONFIG_QUERY, GETS},
    {"5.1.4.43.2", CONFIG_QUERY, FINDS},
    {"5.1.4.43.3", CONFIG_QUERY, MOVES},
    {"5.1.4.43.4", CONFIG_QUERY, GETS},
    {"5.1.4.44.2", CONFIG_QUERY, FINDS},
    {"5.1.4.44.3", CONFIG_QUERY, MOVES},
    {"5.1.4.44.4", CONFIG_QUERY, GETS},
    {"5.1.4.45.2", CONFIG_QUERY, FINDS},
    {"5.1.4.45.3", CONFIG_QUERY, MOVES},
    {"5.1.4.45.4", CONFIG_QUERY, GETS},

    /* Queries only: relevant patient information (annex Q), product
     * characteristics and substance approval (annex V). */
    {"5.1.4.37.1", CONFIG_QUERY, FINDS},
    {"5.1.4.37.2", CONFIG_QUERY, FINDS},
    {"5.1.4.37.3", CONFIG_QUERY, FINDS},
    {"5.1.4.41", CONFIG_QUERY, FINDS},
    {"5.1.4.42", CONFIG_QUERY, FINDS},

    /* Annex H: film session, film box, image boxes, print job, annotation
     * box, printer, its configuration, VOI LUT box, presentation LUT. A
     * context of a meta class (9, 18) carries the messages of all of them. */
    {"5.1.1.1", CONFIG_PRINT, CREATE | N_SET | DELETE | ACTION},
    {"5.1.1.2", CONFIG_PRINT, CREATE | N_SET | DELETE | ACTION},
    {"5.1.1.4", CONFIG_PRINT, N_SET},
    {"5.1.1.4.1", CONFIG_PRINT, N_SET},
    {"5.1.1.14", CONFIG_PRINT, EVENT | N_GET},
    {"5.1.1.15", CONFIG_PRINT, N_SET},
    {"5.1.1.16", CONFIG_PRINT, EVENT | N_GET},
    {"5.1.1.16.376", CONFIG_PRINT, N_GET},
    {"5.1.1.22", CONFIG_PRINT, CREATE | N_SET | DELETE},
    {"5.1.1.23", CONFIG_PRINT, CREATE | DELETE},
    /* Retired ones that hold a data set: stored print, hardcopy images. */
    {"5.1.1.27", CONFIG_STORAGE, STORE},
    {"5.1.1.29", CONFIG_STORAGE, STORE},
    {"5.1.1.30", CONFIG_STORAGE, STORE},
    /* Neighbours by number only: media creation, display systems. */
    {"5.1.1.33", CONFIG_OTHER, EVERY},
    {"5.1.1.40.", CONFIG_OTHER, EVERY},
    {"5.1.1.", CONFIG_PRINT, NORMALIZED},

    /* The media directory is carried like any other data set. */
    {"1.3.10", CONFIG_STORAGE, STORE},

    /* What no service above names: retired management of patients, visits,
     * studies and results, event logs, inventory creation, general purpose
     * worklists, availability, unified procedure steps (annex CC), machine
     * verification. */
    {"1.", CONFIG_OTHER, EVERY},
    {"3.1.2.", CONFIG_OTHER, EVERY},
    {"4.", CONFIG_OTHER, EVERY},
    {"5.1.4.1.1.201.5", CONFIG_OTHER, EVERY},
    {"5.1.4.32", CONFIG_OTHER, EVERY},
    {"5.1.4.32.", CONFIG_OTHER, EVERY},
    {"5.1.4.33", CONFIG_OTHER, EVERY},
    {"5.1.4.34.", CONFIG_OTHER, EVERY},
    {"5.1.4.37.", CONFIG_OTHER, EVERY},
    {"5.1.4.38.", CONFIG_OTHER, EVERY},
    {"5.1.4.39.", CONFIG_OTHER, EVERY},
    {"5.1.4.43.", CONFIG_OTHER, EVERY},
    {"5.1.4.44.", CONFIG_OTHER, EVERY},
    {"5.1.4.45.", CONFIG_OTHER, EVERY},
};

static bool fits(const struct class *c, const char *tail)
{
	size_t n = strlen(c->tail);

	return c->tail[n - 1] == '.' ? strncmp(tail, c->tail, n) == 0
				     : strcmp(tail, c->tail) == 0;
}

/* NULL for one that is not in the table. */
static const struct class *find(const char *abstract)
{
	const char *tail = abstract + sizeof(UID_PREFIX) - 1;

	if (strncmp(abstract, UID_PREFIX, sizeof(UID_PREFIX) - 1) != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (fits(&classes[i], tail))
			return &classes[i];
	return NULL;
}

unsigned service_of(const char *abstract)
{
	const struct class *c;

	if (!uid_valid(abstract))
		return CONFIG_OTHER;
	if (uid_is_storage(abstract))
		return CONFIG_STORAGE;
	c = find(abstract);
	return c != NULL ? c->service : CONFIG_STORAGE;
}

/* Every message of a service, for a class of it that the table lacks. */
static unsigned messages_of(unsigned service)
{
	unsigned messages = service == CONFIG_STORAGE ? STORE : 0;

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (classes[i].service == service)
			messages |= classes[i].messages;
	return messages;
}

bool service_allows(unsigned service, const char *abstract,
		    uint16_t command_field)
{
	const struct class *c = find(abstract);
	unsigned messages = c != NULL && c->service == service
				? c->messages
				: messages_of(service);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].field == command_field)
			return (messages & kinds[i].kind) != 0;
	return false;
}
