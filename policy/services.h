/* services.h - which SOP class belongs to which service, and which messages
 * may travel in a context of it.
 *
 * The tables follow PS3.4 (the annexes are named beside each class) and PS3.7
 * for the message kinds. Classes of no service known here count as storage:
 * vendors have private ones.
 *
 * Pure. Any thread. */
#ifndef POLICY_SERVICES_H
#define POLICY_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"

/* The one bit of enum config_service that an abstract syntax belongs to; never
 * 0. CONFIG_OTHER also for what is no UID at all. */
unsigned service_of(const char *abstract);

/* Whether a request with that command field (0000,0100) may be sent, by either
 * side, in a context of that class, which belongs to service. C-CANCEL-RQ is
 * allowed where C-FIND, C-MOVE or C-GET is. False for responses (bit 0x8000)
 * and for command fields that PS3.7 does not have. */
bool service_allows(unsigned service, const char *abstract,
		    uint16_t command_field);

#endif
