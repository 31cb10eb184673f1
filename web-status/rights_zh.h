/* rights_zh.h - what the rows of the table of rights are for, in Chinese. */
#ifndef WEB_STATUS_RIGHTS_ZH_H
#define WEB_STATUS_RIGHTS_ZH_H

#include "policy/roles.h"

/* UTF-8, static, never NULL; the English text where there is no other. */
const char *right_what_zh(const struct right *r);

#endif
