#include "proxy/dicom/command.h"

#include "proxy/lib/mem.h"

struct word {
	uint16_t code;
	const char *text;
};

static const struct word names[] = {
    {C_STORE_RQ, "C-STORE-RQ"},
    {C_STORE_RSP, "C-STORE-RSP"},
    {C_GET_RQ, "C-GET-RQ"},
    {C_GET_RSP, "C-GET-RSP"},
    {C_FIND_RQ, "C-FIND-RQ"},
    {C_FIND_RSP, "C-FIND-RSP"},
    {C_MOVE_RQ, "C-MOVE-RQ"},
    {C_MOVE_RSP, "C-MOVE-RSP"},
    {C_ECHO_RQ, "C-ECHO-RQ"},
    {C_ECHO_RSP, "C-ECHO-RSP"},
    {C_CANCEL_RQ, "C-CANCEL-RQ"},
    {N_EVENT_REPORT_RQ, "N-EVENT-REPORT-RQ"},
    {N_EVENT_REPORT_RSP, "N-EVENT-REPORT-RSP"},
    {N_GET_RQ, "N-GET-RQ"},
    {N_GET_RSP, "N-GET-RSP"},
    {N_SET_RQ, "N-SET-RQ"},
    {N_SET_RSP, "N-SET-RSP"},
    {N_ACTION_RQ, "N-ACTION-RQ"},
    {N_ACTION_RSP, "N-ACTION-RSP"},
    {N_CREATE_RQ, "N-CREATE-RQ"},
    {N_CREATE_RSP, "N-CREATE-RSP"},
    {N_DELETE_RQ, "N-DELETE-RQ"},
    {N_DELETE_RSP, "N-DELETE-RSP"},
};

/* PS3.7 annex C; PS3.4 tables B.2-1 and C.4-2. */
static const struct word statuses[] = {
    {STATUS_SUCCESS, "success"},
    {0x0001, "requested optional attributes not supported"},
    {0x0105, "no such attribute"},
    {0x0106, "invalid attribute value"},
    {0x0107, "attribute list error"},
    {STATUS_PROCESSING_FAILURE, "processing failure"},
    {0x0111, "duplicate SOP instance"},
    {0x0112, "no such SOP instance"},
    {0x0113, "no such event type"},
    {0x0114, "no such argument"},
    {0x0115, "invalid argument value"},
    {0x0116, "attribute value out of range"},
    {STATUS_INVALID_INSTANCE, "invalid SOP instance"},
    {0x0118, "no such SOP class"},
    {0x0119, "class and instance conflict"},
    {STATUS_MISSING_ATTRIBUTE, "missing attribute"},
    {0x0121, "missing attribute value"},
    {STATUS_CLASS_NOT_SUPPORTED, "SOP class not supported"},
    {0x0123, "no such action type"},
    {STATUS_NOT_AUTHORIZED, "not authorized"},
    {STATUS_DUPLICATE_INVOCATION, "duplicate invocation"},
    {STATUS_UNRECOGNIZED_OPERATION, "unrecognized operation"},
    {STATUS_MISTYPED_ARGUMENT, "mistyped argument"},
    {STATUS_RESOURCE_LIMIT, "resource limitation"},
    {STATUS_OUT_OF_RESOURCES, "out of resources"},
    {0xA701, "out of resources: cannot count matches"},
    {0xA702, "out of resources: cannot perform sub-operations"},
    {0xA801, "move destination unknown"},
    {STATUS_CLASS_MISMATCH, "data set does not match SOP class"},
    {0xB000, "stored, but data elements were coerced"},
    {0xB006, "stored, but elements were discarded"},
    {0xB007, "stored, but data set does not match SOP class"},
    {STATUS_CANNOT_UNDERSTAND, "cannot understand"},
    {0xFE00, "canceled"},
    {0xFF00, "pending"},
    {0xFF01, "pending, optional keys not supported"},
};

static const char *find(const struct word *words, size_t n, uint16_t code)
{
	for (size_t i = 0; i < n; i++) {
		if (words[i].code == code)
			return words[i].text;
	}
	return NULL;
}

const char *command_name(uint16_t field)
{
	const char *name = find(names, ARRAY_LEN(names), field);

	return name != NULL ? name : "unknown command";
}

enum status_class command_status_class(uint16_t status)
{
	if (status == STATUS_SUCCESS)
		return STATUS_IS_SUCCESS;
	if (status == 0x0001 || status == 0x0107 || status == 0x0116 ||
	    status >> 12 == 0xB)
		return STATUS_IS_WARNING;
	if (status == 0xFE00)
		return STATUS_IS_CANCEL;
	if (status == 0xFF00 || status == 0xFF01)
		return STATUS_IS_PENDING;
	return STATUS_IS_FAILURE;
}

const char *command_status_text(uint16_t status)
{
	const char *text = find(statuses, ARRAY_LEN(statuses), status);

	if (text != NULL)
		return text;
	if (status >> 8 == 0xA7)
		return "out of resources";
	if (status >> 8 == 0xA9)
		return "data set does not match SOP class";
	if (status >> 12 == 0xB)
		return "warning of the peer's own";
	if (status >> 12 == 0xC)
		return "cannot understand";
	return "failure, meaning unknown";
}
