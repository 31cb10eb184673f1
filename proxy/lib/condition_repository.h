/* condition_repository.h - part of condition_table.h: audit repositories. */
#ifndef PROXY_LIB_CONDITION_REPOSITORY_H
#define PROXY_LIB_CONDITION_REPOSITORY_H

/* clang-format off */
#define CONDITION_REPOSITORY_MAP(X)					       \
	X(REPOSITORY_AWAY, 9101, WARN, "repository-away",		       \
	  "an audit repository cannot be reached or does not take what is "    \
	  "sent: rows wait in the audit and none is lost",		       \
	  "see the cause beside it; culvert check --connect tries it",	       \
	  "无法连接审计仓库或其不接收数据：记录在审计中等待，不会丢失",	       \
	  "查看同行的原因；用 culvert check --connect 测试")		       \
	X(REPOSITORY_ROWS_UNREADABLE, 9102, ERROR,			       \
	  "repository-rows-unreadable",					       \
	  "a month of the audit is damaged: its rows are not sent to the "     \
	  "audit repositories",						       \
	  "run culvert audit verify and restore the file from a backup",       \
	  "某月的审计文件已损坏：其中的记录未发送到审计仓库",		       \
	  "运行 culvert audit verify，并从备份恢复该文件")		       \
	X(REPOSITORY_CURSOR_UNSAVED, 9103, ERROR,			       \
	  "repository-cursor-unsaved",					       \
	  "it cannot be written down how far the audit has gone to its "       \
	  "repositories: rows go again after a restart",		       \
	  "check the disk under records.path, its free space, owner "	       \
	  "and mode",							       \
	  "无法记录审计发送到仓库的进度：重启后会重复发送",		       \
	  "检查 records.path 所在的磁盘、剩余空间、属主和权限")		       \
	X(REPOSITORIES_DAMAGED, 9104, ERROR, "repositories-damaged",	       \
	  "repositories.db was damaged and moved aside: the audit goes "       \
	  "to its repositories again from its beginning",		       \
	  "nothing is lost; find out what damaged the file",		       \
	  "repositories.db 已损坏并被移开：审计将从头重新发送到仓库",	       \
	  "没有丢失；查明文件损坏的原因")				       \
	X(REPOSITORY_AUDIT_ANEW, 9105, WARN, "repository-audit-anew",	       \
	  "the audit begins anew with a lower number than was sent: it "       \
	  "is sent from its beginning",					       \
	  "find out who took the older audit away, or restore it",	       \
	  "审计以比已发送更小的编号重新开始：从头发送",			       \
	  "查明是谁移走了旧的审计，或将其恢复")
/* clang-format on */

#endif
