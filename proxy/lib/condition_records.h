/* condition_records.h - part of condition_table.h: ledger, audit and exports.
 */
#ifndef PROXY_LIB_CONDITION_RECORDS_H
#define PROXY_LIB_CONDITION_RECORDS_H

/* clang-format off */
#define CONDITION_RECORDS_MAP(X)					       \
	X(LEDGER_FAILING, 8001, ERROR, "ledger-failing",		       \
	  "the ledger cannot be written or read: instances are still "	       \
	  "taken, and it is tried again",				       \
	  "check the disk under records.path, its free space, owner "	       \
	  "and mode",							       \
	  "台账无法写入或读取：仍接收实例，并会重试",			       \
	  "检查 records.path 所在的磁盘、剩余空间、属主和权限")		       \
	X(LEDGER_LOST, 8002, ERROR, "ledger-lost",			       \
	  "the ledger was damaged, replaced or deleted: it is built "	       \
	  "anew from the spool",					       \
	  "nothing is lost that waits; earlier rows are in the file "	       \
	  "moved aside; check the disk under records.path",		       \
	  "台账损坏、被替换或删除：正在从暂存区重建",			       \
	  "等待投递的内容没有丢失；更早的记录在移开的文件中；检查 "	       \
	  "records.path 所在的磁盘")					       \
	X(LEDGER_NOT_ACCEPTING, 8003, ERROR, "ledger-not-accepting",	       \
	  "audit records cannot be written for too long: new "		       \
	  "associations are refused",					       \
	  "check the disk under records.path; it goes on by itself",	       \
	  "审计记录长时间无法写入：新的关联被拒绝",			       \
	  "检查 records.path 所在的磁盘；之后会自动恢复")		       \
	X(LEDGER_LOG_LONG, 8004, WARN, "ledger-log-long",		       \
	  "a reader keeps ledger.db-wal from being emptied",		       \
	  "close what has ledger.db open for long, a sqlite3 shell or a "      \
	  "copy: fuser shows it",					       \
	  "某个读取者使 ledger.db-wal 无法清空",			       \
	  "关闭长时间打开 ledger.db 的程序（sqlite3 命令行或复制）：可用 "     \
	  "fuser 查看")							       \
	X(LEDGER_AHEAD, 8005, ERROR, "ledger-ahead-of-spool",		       \
	  "the ledger knows of records that the spool has no more: the "       \
	  "spool lost its last ones",					       \
	  "check the disk under spool.path, and whether an old copy of "       \
	  "it was restored",						       \
	  "台账中有暂存区已不存在的记录：暂存区丢失了最后的内容",	       \
	  "检查 spool.path 所在的磁盘，以及是否恢复了旧副本")		       \
	X(LEDGER_ROW_REFUSED, 8006, ERROR, "ledger-row-refused",	       \
	  "the ledger refused a row",					       \
	  "report this with the line; deliveries are not affected",	       \
	  "台账拒绝了一行记录",						       \
	  "连同日志行一起报告；投递不受影响")				       \
	X(LEDGER_UNREAD, 8007, WARN, "ledger-unread",			       \
	  "the ledger cannot be read for now",				       \
	  "see the ledger's own alert; it is tried again by itself",	       \
	  "暂时无法读取台账",						       \
	  "查看台账自身的告警；会自动重试")				       \
	X(REDIRECT_REFUSED, 8008, ERROR, "redirect-refused",		       \
	  "this instance was redirected too often: it stays where it was",     \
	  "culvert queue retry sends it there; culvert queue export "	       \
	  "hands it out as a file",					       \
	  "此实例被重定向次数过多：保持原有目的地",			       \
	  "用 culvert queue retry 发送到原目的地；用 culvert queue "	       \
	  "export 导出为文件")						       \
	X(AUDIT_FAILING, 8101, ERROR, "audit-failing",			       \
	  "audit records cannot be written: it is tried again, and new "       \
	  "associations are refused if it lasts",			       \
	  "check the disk under records.path, its free space, owner "	       \
	  "and mode",							       \
	  "无法写入审计记录：会重试，若持续则拒绝新的关联",		       \
	  "检查 records.path 所在的磁盘、剩余空间、属主和权限")		       \
	X(AUDIT_DAMAGED, 8102, ERROR, "audit-damaged",			       \
	  "the audit of a month was damaged: it was moved aside, and a "       \
	  "gap is on record",						       \
	  "keep the file that was moved aside; find out who or what "	       \
	  "changed it",							       \
	  "某月的审计文件已损坏：已移开，并记录了缺口",			       \
	  "保留被移开的文件；查明是谁或什么更改了它")			       \
	X(AUDIT_LOST, 8103, ERROR, "audit-lost",			       \
	  "the audit file was deleted or replaced while it was written",       \
	  "find out who did it; restore what a backup has; a gap is on "       \
	  "record",							       \
	  "审计文件在写入期间被删除或替换",				       \
	  "查明是谁所为；从备份恢复；缺口已记录")			       \
	X(AUDIT_ROW_REFUSED, 8104, ERROR, "audit-row-refused",		       \
	  "the audit refused a row",					       \
	  "report this with the line; a gap is on record",		       \
	  "审计拒绝了一行记录",						       \
	  "连同日志行一起报告；缺口已记录")				       \
	X(AUDIT_GAP, 8105, ERROR, "audit-gap",				       \
	  "records were dropped because too many waited to be "	       \
	  "written: rows of the audit, or attempts, refusals and figures "     \
	  "of the ledger",						       \
	  "see whether the disk under records.path is full or slow; how "      \
	  "many were dropped is on record",				       \
	  "等待写入的记录过多，丢弃了一部分：审计记录，或台账的投递尝试、"    \
	  "拒绝与统计数据",						       \
	  "检查 records.path 所在磁盘是否已满或过慢；丢弃的数量已记录在案")    \
	X(AUDIT_UNSIGNED, 8106, WARN, "audit-unsigned",			       \
	  "the head of the audit could not be signed or kept: it is "	       \
	  "tried again",						       \
	  "check the disk under records.path and the file of "		       \
	  "records.signing_key",					       \
	  "无法签名或保存审计头：会重试",				       \
	  "检查 records.path 所在的磁盘和 records.signing_key 文件")	       \
	X(AUDIT_LAST_UNWRITTEN, 8107, WARN, "audit-last-unwritten",	       \
	  "the copy of the audit's last head could not be written: it "	       \
	  "is tried again",						       \
	  "check the disk under records.path, its free space, owner "	       \
	  "and mode",							       \
	  "无法写入审计最后一个头的副本：会重试",			       \
	  "检查 records.path 所在的磁盘、剩余空间、属主和权限")		       \
	X(AUDIT_PRUNE_REFUSED, 8109, ERROR, "audit-prune-refused",	       \
	  "a month of the audit is due and is not pruned: it does not "	       \
	  "verify",							       \
	  "culvert audit verify names the first bad row; keep the file "       \
	  "and find out who or what changed it",			       \
	  "审计的某个月已到期但未清理：未通过校验",			       \
	  "culvert audit verify 会指出第一条有误的记录；保留该文件并查"	       \
	  "明是谁或什么更改了它")					       \
	X(CLOCK_SUSPECT, 8110, WARN, "clock-suspect",			       \
	  "the clock jumped or is not synchronised: nothing is pruned "	       \
	  "until that is settled",					       \
	  "see whether time synchronisation works; an auditor confirms "       \
	  "the clock with culvert audit confirm-clock",				       \
	  "时钟发生跳变或未同步：在确认之前不清理任何记录",		       \
	  "检查时间同步是否正常；由审计员用 culvert audit confirm-clock 确认时"	       \
	  "钟")								       \
	X(PRUNE_WAITS, 8111, WARN, "prune-waits",			       \
	  "records that are due are not pruned for now",		       \
	  "see the detail; it goes on by itself when that is over",	       \
	  "到期的记录暂不清理",						       \
	  "查看详情；原因消除后会自动继续")				       \
	X(AUDIT_ERASE_UNFINISHED, 8112, WARN, "audit-erase-unfinished",	       \
	  "values that are on record as erased are not all erased yet: the "   \
	  "daemon stopped in the middle, and it cannot go on now",	       \
	  "see the detail; it is tried again each hour and at each start",     \
	  "记录为已擦除的值尚未全部擦除：守护进程中途停止，目前无法继续",      \
	  "查看详情；每小时及每次启动时会重试")
/* clang-format on */

#endif
