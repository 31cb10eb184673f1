/* condition_web.h - part of condition_table.h: the status page. */
#ifndef PROXY_LIB_CONDITION_WEB_H
#define PROXY_LIB_CONDITION_WEB_H

/* clang-format off */
#define CONDITION_WEB_MAP(X)						       \
	X(WEB_START, 9001, ERROR, "web-start",				       \
	  "the status page cannot start, or cannot take up what was "	       \
	  "changed",							       \
	  "correct what the line names (status.address, status.tls, "	       \
	  "status.users); culvert check looks at them",			       \
	  "状态页无法启动，或无法采用已更改的设置",			       \
	  "改正日志行所指出的项 (status.address、status.tls、"		       \
	  "status.users)；culvert check 会检查它们")			       \
	X(WEB_ENDED, 9002, ERROR, "web-ended",				       \
	  "the process of the status page ended: there is no page "	       \
	  "until it is started again",					       \
	  "nothing: it is started again by itself, and the data path "	       \
	  "does not need it; the lines before say why",			       \
	  "状态页进程已结束：重新启动之前没有状态页",			       \
	  "无需处理：会自动重新启动，数据通路不依赖它；原因见之前的日志"       \
	  "行")								       \
	X(WEB_FULL, 9003, WARN, "web-full",				       \
	  "more connections to the status page than status.connections "       \
	  "or status.per_address allow",				       \
	  "look who opens them, or raise these",			       \
	  "到状态页的连接多于 status.connections 或 status.per_address "       \
	  "所允许",							       \
	  "查明由谁打开，或调高上限")					       \
	X(WEB_LOGIN, 9004, WARN, "web-login",				       \
	  "a log-in to the status page failed, or its name was locked "	       \
	  "for a while",						       \
	  "if this was not one of yours, find out who is at that "	       \
	  "address",							       \
	  "登录状态页失败，或该用户名被暂时锁定",			       \
	  "若不是本单位人员，查明该地址是谁")				       \
	X(WEB_UNRECORDED, 9005, WARN, "web-unrecorded",			       \
	  "something done on the status page could not be put on record",      \
	  "see that the daemon runs, and look after the disk under "	       \
	  "records.path",						       \
	  "状态页上的某个操作无法记录在案",				       \
	  "确认守护进程在运行，并检查 records.path 所在的磁盘")		       \
	X(WEB_PAGE_FAILED, 9006, ERROR, "web-page-failed",		       \
	  "a page could not be made: out of memory, or it is too long",	       \
	  "narrow its filters, or use culvert transfers or culvert check "     \
	  "--show; report it if it repeats",				       \
	  "无法生成页面：内存不足，或页面过长",				       \
	  "缩小筛选范围，或使用 culvert transfers、culvert check --show；"     \
	  "若反复出现请报告")						       \
	X(WEB_CONFINED, 9007, WARN, "web-limit",			       \
	  "the process of the status page could not give up all that "	       \
	  "it does not need",						       \
	  "see the detail; the service's unit may limit it instead",	       \
	  "状态页进程未能放弃其不需要的全部权限",			       \
	  "查看详情；可由服务单元加以限制")
/* clang-format on */

#endif
