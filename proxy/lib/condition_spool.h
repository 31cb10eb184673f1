/* condition_spool.h - part of condition_table.h: spool and keys. */
#ifndef PROXY_LIB_CONDITION_SPOOL_H
#define PROXY_LIB_CONDITION_SPOOL_H

/* clang-format off */
#define CONDITION_SPOOL_MAP(X)						       \
	X(SPOOL_FULL, 7001, ERROR, "spool-full",			       \
	  "the spool is full: new instances are refused (A700) until "	       \
	  "deliveries free space",					       \
	  "see culvert queue list for what waits and why; raise "	       \
	  "spool.quota if the disk has room",				       \
	  "暂存区已满：在投递腾出空间之前，新实例将被拒绝 (A700)",	       \
	  "用 culvert queue list 查看什么在等待及原因；磁盘有余量时调高"       \
	  " spool.quota")						       \
	X(SPOOL_FILES, 7002, WARN, "spool-files",			       \
	  "a file of the spool cannot be made, renamed or removed",	       \
	  "check the disk under spool.path, its free space, owner and "	       \
	  "mode",							       \
	  "无法创建、重命名或删除暂存区的文件",				       \
	  "检查 spool.path 所在的磁盘、剩余空间、属主和权限")		       \
	X(SPOOL_WRITE_FAILED, 7003, ERROR, "spool-write-failed",	       \
	  "writing or flushing the spool failed: that file is used no "	       \
	  "more, and nothing since its last flush was acknowledged",	       \
	  "check the disk under spool.path; devices send again what "	       \
	  "was not acknowledged",					       \
	  "写入或刷新暂存区失败：该文件不再使用，上次刷新之后的内容均未"       \
	  "确认",							       \
	  "检查 spool.path 所在的磁盘；设备会重新发送未确认的内容")	       \
	X(SPOOL_DAMAGE, 7004, ERROR, "spool-damage",			       \
	  "a part of the spool is damaged or missing",			       \
	  "check the disk under spool.path; culvert spool check says "	       \
	  "what is damaged, culvert queue list what is in quarantine",	       \
	  "暂存区的一部分已损坏或缺失",					       \
	  "检查 spool.path 所在的磁盘；culvert spool check 指出损坏之处"       \
	  "，culvert queue list 列出被隔离的内容")			       \
	X(CHUNK_UNREADABLE, 7005, ERROR, "chunk-unreadable",		       \
	  "a chunk in the spool cannot be read or opened any more",	       \
	  "check the disk under spool.path; what came over a link is "	       \
	  "sent again by itself, a device has to send it again",	       \
	  "暂存区中的某个分块无法再读取或打开",				       \
	  "检查 spool.path 所在的磁盘；经链路收到的会自动重发，设备须重新"     \
	  "发送")							       \
	X(PARTIAL_GAVE_WAY, 7006, WARN, "partial-gave-way",		       \
	  "unfinished transfers fill the spool: one gave way, and its "	       \
	  "sender begins it anew",					       \
	  "raise spool.quota, or lower link.transfers of the listeners",       \
	  "未完成的传输占满暂存区：其中之一已让位，发送方会重新开始",	       \
	  "调高 spool.quota，或调低监听端的 link.transfers")		       \
	X(SEAL_FAILED, 7007, ERROR, "seal-failed",			       \
	  "sealing or opening failed inside the cryptographic library",	       \
	  "restart the daemon when it suits; if it repeats, check the "	       \
	  "machine's memory",						       \
	  "密码库内部的封印或解封失败",					       \
	  "择时重启守护进程；若反复出现，检查本机内存")			       \
	X(DATA_KEY, 7008, ERROR, "data-key",				       \
	  "the data key cannot be used",				       \
	  "restore it from a backup, with mode 0600 and the daemon's "	       \
	  "user as its owner",						       \
	  "无法使用数据密钥",						       \
	  "从备份恢复，权限设为 0600，属主为守护进程用户")		       \
	X(SIGN_FAILED, 7009, ERROR, "sign-failed",			       \
	  "signing failed inside the cryptographic library",		       \
	  "restart the daemon when it suits; if it repeats, check the "	       \
	  "machine's memory",						       \
	  "密码库内部的签名失败",					       \
	  "择时重启守护进程；若反复出现，检查本机内存")			       \
	X(SIGNING_KEY_UNPUBLISHED, 7010, WARN, "signing-key-unpublished",      \
	  "the public part of the signing key could not be written "	       \
	  "beside it",							       \
	  "check owner and mode of that directory; culvert audit key "	       \
	  "prints it as well",						       \
	  "无法在签名密钥旁写入其公开部分",				       \
	  "检查该目录的属主和权限；也可用 culvert audit key 打印")
/* clang-format on */

#endif
