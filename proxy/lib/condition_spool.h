/* condition_spool.h - part of condition_table.h: spool and keys. */
#ifndef PROXY_LIB_CONDITION_SPOOL_H
#define PROXY_LIB_CONDITION_SPOOL_H

#define CONDITION_SPOOL_MAP(X)                                                                \
	X(SPOOL_FULL, 7001, ERROR, "spool-full",                                              \
	  "the spool is full: new instances are refused (A700) until "                        \
	  "deliveries free space",                                                            \
	  "see culvert queue list for what waits and why; raise spool.quota "                 \
	  "if the disk has room",                                                             \
	  "暂存区已满：在投递腾出空间之前，新实例将被拒绝 (A700)",                            \
	  "用 culvert queue list 查看什么在等待及原因；磁盘有余量时调高 " \
	  "spool.quota")                                                                      \
	X(SPOOL_FILES, 7002, WARN, "spool-files",                                             \
	  "a file of the spool cannot be made, renamed or removed",                           \
	  "check the disk under spool.path, its free space, owner and mode",                  \
	  "无法创建、重命名或删除暂存区的文件",                                               \
	  "检查 spool.path 所在的磁盘、剩余空间、属主和权限")

#endif
