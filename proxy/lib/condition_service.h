/* condition_service.h - part of condition_table.h: service and configuration.
 */
#ifndef PROXY_LIB_CONDITION_SERVICE_H
#define PROXY_LIB_CONDITION_SERVICE_H

/* clang-format off */
#define CONDITION_SERVICE_MAP(X)					       \
	X(START_FAILED, 1001, ERROR, "start-failed",			       \
	  "the daemon cannot start",					       \
	  "correct what the line names (part, detail); culvert check "	       \
	  "looks at most of it beforehand",				       \
	  "守护进程无法启动",						       \
	  "改正日志行所指出的问题 (part、detail)；culvert check 可事先"	       \
	  "检查其中大部分")						       \
	X(CONFIG_PROBLEM, 1002, ERROR, "config-problem",		       \
	  "the configuration has a mistake",				       \
	  "correct it at the line named; culvert check names all of "	       \
	  "them, and the nearest valid key",				       \
	  "配置中有错误",						       \
	  "在所指的行改正；culvert check 会列出全部错误及最接近的有效键"       \
	  "名")								       \
	X(CONFIG_REFUSED, 1003, ERROR, "config-refused",		       \
	  "the changed configuration was not taken up: the one before "	       \
	  "stays in force",						       \
	  "correct what culvert check names, then run culvert reload",	       \
	  "修改后的配置未被采用：之前的配置继续有效",			       \
	  "改正 culvert check 指出的错误，然后执行 culvert reload")	       \
	X(CONFIG_NEEDS_RESTART, 1004, WARN, "config-needs-restart",	       \
	  "an option was changed that is taken up at a restart only",	       \
	  "restart the daemon when it suits; nothing acknowledged is "	       \
	  "lost by it",							       \
	  "修改了只有重启后才生效的选项",				       \
	  "择时重启守护进程；已确认的数据不会因此丢失")			       \
	X(STOPPING_NOW, 1005, WARN, "stopping-now",			       \
	  "a second signal came: open associations are cut",		       \
	  "nothing: what was acknowledged is safe, devices send the "	       \
	  "rest again",							       \
	  "收到第二个信号：正在切断打开的关联",				       \
	  "无需处理：已确认的数据是安全的，其余由设备重新发送")		       \
	X(STOPPED_HARD, 1006, ERROR, "stopped-hard",			       \
	  "the spool's disk does not answer: the daemon ended without "	       \
	  "it",								       \
	  "look after the disk under spool.path; nothing acknowledged "	       \
	  "is lost",							       \
	  "暂存区磁盘没有响应：守护进程未等待它就已结束",		       \
	  "检查 spool.path 所在的磁盘；已确认的数据没有丢失")		       \
	X(CLOCK_STEP, 1007, WARN, "clock-step",				       \
	  "the machine's clock jumped",					       \
	  "see whether time synchronisation works; order and time "	       \
	  "limits here do not follow the wall clock",			       \
	  "本机时钟发生跳变",						       \
	  "检查时间同步是否正常；本系统的次序和时限不依赖墙上时钟")	       \
	X(DESCRIPTORS, 1008, WARN, "descriptors",			       \
	  "the limit of open files cannot be raised",			       \
	  "raise LimitNOFILE in the service's unit",			       \
	  "无法提高打开文件数的上限",					       \
	  "在服务单元中调高 LimitNOFILE")				       \
	X(LISTENER_STARVED, 1009, ERROR, "listener-starved",		       \
	  "no descriptors or memory are left: new connections are "	       \
	  "dropped",							       \
	  "raise LimitNOFILE in the service's unit, or lower the "	       \
	  "limits on associations",					       \
	  "文件描述符或内存已用尽：新的连接被丢弃",			       \
	  "在服务单元中调高 LimitNOFILE，或调低关联数限制")		       \
	X(EXPORT_FAILED, 1011, WARN, "export-failed",			       \
	  "an instance could not be handed out to culvert queue export",       \
	  "look at the disk under spool.path; culvert spool check says "       \
	  "what is damaged",						       \
	  "无法将实例交给 culvert queue export",			       \
	  "检查 spool.path 所在的磁盘；culvert spool check 会指出损坏之"       \
	  "处")								       \
	X(MEMORY, 1012, ERROR, "memory",				       \
	  "out of memory",						       \
	  "give the machine more memory or lower 'associations'",	       \
	  "内存不足",							       \
	  "增加内存，或调低 'associations'")				       \
	X(STOPPED, 1013, NOTE, "stopped",				       \
	  "the daemon was stopped",					       \
	  "nothing: it is tried again by itself",			       \
	  "守护进程被停止",						       \
	  "无需处理：会自动重试")					       \
	X(ORDER_REFUSED, 1014, WARN, "order-refused",			       \
	  "somebody asked for what their role does not allow",		       \
	  "culvert rights says which role may; put the person into its "       \
	  "group if that is meant",					       \
	  "有人请求了其角色不允许的操作",				       \
	  "culvert rights 列出哪个角色可以；若属有意，将此人加入相应的"	       \
	  "组")								       \
	X(ORDER_NOT_RECORDED, 1015, ERROR, "order-not-recorded",	       \
	  "an order could not be put on record: nothing was done",	       \
	  "look after the disk under records.path, then give the order "       \
	  "again",							       \
	  "命令无法记录在案：未执行任何操作",				       \
	  "检查 records.path 所在的磁盘，然后重新下达命令")
/* clang-format on */

#endif
