/* condition_commitment.h - part of condition_table.h: storage commitment. */
#ifndef PROXY_LIB_CONDITION_COMMITMENT_H
#define PROXY_LIB_CONDITION_COMMITMENT_H

/* clang-format off */
#define CONDITION_COMMITMENT_MAP(X)					       \
	X(COMMITMENT_REPORTED, 6001, WARN, "commitment-reported",	       \
	  "the archive does not hold all instances that the device "	       \
	  "asked about",						       \
	  "see culvert queue list; the device keeps what failed, and "	       \
	  "may send it and ask again",					       \
	  "归档系统并未保有设备询问的全部实例",				       \
	  "查看 culvert queue list；失败的内容仍在设备上，可重新发送并"	       \
	  "再次询问")							       \
	X(COMMITMENT_WAITS, 6002, ERROR, "commitment-waits",		       \
	  "a step of storage commitment cannot be made durable",	       \
	  "it is tried again; look after the disk and the quota of "	       \
	  "spool.path",							       \
	  "存储确认的某一步无法持久保存",				       \
	  "会自动重试；检查 spool.path 的磁盘和配额")			       \
	X(COMMITMENT_UNANSWERED, 6003, WARN, "commitment-unanswered",	       \
	  "the archive has not reported storage commitment in time",	       \
	  "it is asked again by itself; see that the archive knows "	       \
	  "address, port and AE title of this node for its reports",	       \
	  "归档系统未按时报告存储确认",					       \
	  "会自动再次询问；确认归档系统知道本节点接收报告的地址、端口和 "      \
	  "AE 名称")							       \
	X(COMMITMENT_STRANDED, 6004, ERROR, "commitment-stranded",	       \
	  "the report of storage commitment cannot be sent: the "	       \
	  "configuration has no way to the device",			       \
	  "give devices.NAME one address and a port; the report waits in "     \
	  "the queue until then",					       \
	  "存储确认报告无法发送：配置中没有到该设备的途径",		       \
	  "为 devices.NAME 配置一个地址和端口；报告会在队列中等待")	       \
	X(COMMITMENT_UNREADABLE, 6005, ERROR, "commitment-unreadable",	       \
	  "a request for storage commitment held here cannot be read: "	       \
	  "it is in quarantine",					       \
	  "let the device ask again",					       \
	  "此处扣留的存储确认请求无法读取：已隔离",			       \
	  "让设备再次询问")						       \
	X(COMMITMENT_FOREIGN, 6006, WARN, "commitment-foreign",		       \
	  "the archive's report names instances that were not asked for",      \
	  "ask the archive's operator; the request goes on waiting",	       \
	  "归档系统的报告包含未询问的实例",				       \
	  "询问归档系统的管理员；请求继续等待")				       \
	X(COMMITMENT_UNKNOWN, 6007, WARN, "commitment-unknown",		       \
	  "no request with this transaction UID went to that peer",	       \
	  "check which archive the hold route names",			       \
	  "没有带此事务 UID 的请求发往该对方",				       \
	  "检查 hold 路由指向哪个归档系统")				       \
	X(COMMITMENT_UNSTORED, 6008, ERROR, "commitment-unstored",	       \
	  "the archive's report cannot be taken",			       \
	  "look after the disk and the quota of spool.path; the "	       \
	  "archive has to report again",				       \
	  "无法接收归档系统的报告",					       \
	  "检查 spool.path 的磁盘和配额；归档系统须再次报告")		       \
	X(COMMITMENT_MIXED, 6009, ERROR, "commitment-mixed",		       \
	  "the request was released by hand after the archive had been "       \
	  "asked: which one is answered cannot be told, and the device "       \
	  "gets no report",						       \
	  "let the device ask again",					       \
	  "在询问归档系统之后请求被手动放行：无法判断应答对应哪一个，设"       \
	  "备得不到报告",						       \
	  "让设备再次询问")						       \
	X(COMMITMENT_MALFORMED, 6010, WARN, "commitment-malformed",	       \
	  "the archive's report cannot be read",			       \
	  "ask the archive's vendor; the request goes on waiting",	       \
	  "无法读取归档系统的报告",					       \
	  "询问归档系统供应商；请求继续等待")				       \
	X(NOT_COMMITTED, 6011, WARN, "not-committed",			       \
	  "the archive does not answer for all that it was sent",	       \
	  "copies are kept; ask the archive's operator what became of "	       \
	  "them",							       \
	  "归档系统未对收到的全部内容作出确认",				       \
	  "副本已保留；询问归档系统管理员其下落")
/* clang-format on */

#endif
