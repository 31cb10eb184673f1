/* condition_table.h - the catalogue of conditions, one row each:
 *
 *   X(ID, number, severity, "name", "cause", "remedy", "cause, Chinese",
 *     "remedy, Chinese")
 *
 * Texts are plain words without a final full stop. The cause says what is the
 * case; the remedy what to do, "" only where there is nothing to do. Whatever
 * differs from case to case (names, numbers) stands beside them, in the log's
 * line. Rows stand in the order of numbers, which are never given twice: a
 * number of the past stays unused.
 *
 * Events of the log that are of a condition with another name stand in
 * condition_events.h. */
#ifndef PROXY_LIB_CONDITION_TABLE_H
#define PROXY_LIB_CONDITION_TABLE_H

#include "proxy/lib/condition_answer.h"
#include "proxy/lib/condition_commitment.h"
#include "proxy/lib/condition_far.h"
#include "proxy/lib/condition_link.h"
#include "proxy/lib/condition_peers.h"
#include "proxy/lib/condition_records.h"
#include "proxy/lib/condition_repository.h"
#include "proxy/lib/condition_service.h"
#include "proxy/lib/condition_spool.h"
#include "proxy/lib/condition_web.h"

#define CONDITION_MAP(X)                                                       \
	CONDITION_SERVICE_MAP(X)                                               \
	CONDITION_PEERS_MAP(X)                                                 \
	CONDITION_FAR_MAP(X)                                                   \
	CONDITION_ANSWER_MAP(X)                                                \
	CONDITION_LINK_MAP(X)                                                  \
	CONDITION_COMMITMENT_MAP(X)                                            \
	CONDITION_SPOOL_MAP(X)                                                 \
	CONDITION_RECORDS_MAP(X)                                               \
	CONDITION_WEB_MAP(X)                                                   \
	CONDITION_REPOSITORY_MAP(X)

/* The areas: X(thousands, "name", "name in Chinese") */
#define CONDITION_AREA_MAP(X)                                                  \
	X(1, "service and configuration", "服务与配置")                        \
	X(2, "peers that arrive", "接入方")                                    \
	X(3, "way to a destination", "通往目的地的连接")                       \
	X(4, "answers of a destination", "目的地的应答")                       \
	X(5, "chunk link", "分块链路")                                         \
	X(6, "storage commitment", "存储确认")                                 \
	X(7, "spool and keys", "暂存区与密钥")                                 \
	X(8, "ledger, audit and exports", "台账、审计与导出")                  \
	X(9, "status page and repositories", "状态页与审计仓库")

#endif
