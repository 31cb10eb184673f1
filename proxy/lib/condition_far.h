/* condition_far.h - part of condition_table.h: the way to a destination. */
#ifndef PROXY_LIB_CONDITION_FAR_H
#define PROXY_LIB_CONDITION_FAR_H

/* clang-format off */
#define CONDITION_FAR_MAP(X)						       \
	X(RESOLVE, 3001, WARN, "resolve",				       \
	  "the destination's host name cannot be resolved",		       \
	  "check the name in destinations.NAME.endpoints and this "	       \
	  "machine's DNS; culvert echo DESTINATION tries it",		       \
	  "无法解析目的地的主机名",					       \
	  "检查 destinations.NAME.endpoints 中的名称和本机的 DNS；可用 "       \
	  "culvert echo DESTINATION 测试")				       \
	X(CONNECT, 3002, WARN, "connect",				       \
	  "no connection to the destination",				       \
	  "check that the archive runs, its port, and firewalls between; "     \
	  "culvert echo DESTINATION tries it",				       \
	  "无法连接到目的地",						       \
	  "检查归档系统是否运行、其端口以及中间的防火墙；可用 culvert "	       \
	  "echo DESTINATION 测试")					       \
	X(CONNECT_TIMEOUT, 3003, WARN, "connect-timeout",		       \
	  "the destination does not answer to a connection",		       \
	  "check address, routes and firewalls between; culvert echo "	       \
	  "DESTINATION tries it",					       \
	  "目的地对连接没有响应",					       \
	  "检查地址、路由和中间的防火墙；可用 culvert echo DESTINATION 测"     \
	  "试")								       \
	X(TLS, 3004, WARN, "tls",					       \
	  "the TLS handshake failed",					       \
	  "check certificates and TLS settings of both sides; culvert "	       \
	  "echo DESTINATION says more",					       \
	  "TLS 握手失败",						       \
	  "检查双方的证书和 TLS 设置；culvert echo DESTINATION 会给出更多"     \
	  "信息")							       \
	X(ASSOCIATE_TIMEOUT, 3005, WARN, "associate-timeout",		       \
	  "the destination took the connection but did not answer the "	       \
	  "association request",					       \
	  "check that the port speaks DICOM, and whether it expects TLS",      \
	  "目的地接受了连接，但没有应答关联请求",			       \
	  "检查该端口是否为 DICOM，以及是否要求 TLS")			       \
	X(ASSOCIATE_LOST, 3006, WARN, "associate-lost",			       \
	  "the destination closed the connection instead of answering "	       \
	  "the association request",					       \
	  "check that the port speaks DICOM, whether it expects TLS, "	       \
	  "and whether the archive allows this address",		       \
	  "目的地关闭了连接而没有应答关联请求",				       \
	  "检查该端口是否为 DICOM、是否要求 TLS，以及归档系统是否允许此"       \
	  "地址")							       \
	X(NOT_DICOM, 3007, WARN, "not-dicom",				       \
	  "the destination's answer is no DICOM",			       \
	  "check that the port speaks DICOM, and whether it expects TLS",      \
	  "目的地的应答不是 DICOM",					       \
	  "检查该端口是否为 DICOM，以及是否要求 TLS")			       \
	X(UNSENDABLE, 3008, ERROR, "unsendable",			       \
	  "an AE title or UID of the instance is not valid DICOM",	       \
	  "send the instance again with valid identifiers",		       \
	  "实例的 AE 名称或 UID 不符合 DICOM",				       \
	  "用有效的标识符重新发送该实例")				       \
	X(LOST, 3009, WARN, "lost",					       \
	  "the connection to the destination was lost",			       \
	  "nothing: it is tried again by itself",			       \
	  "与目的地的连接中断",						       \
	  "无需处理：会自动重试")					       \
	X(LOST_OUTSTANDING, 3010, WARN, "lost-outstanding",		       \
	  "the connection was lost during this instance",		       \
	  "if it happens with this instance only, the archive may "	       \
	  "crash on it: look at the archive's log for this SOP "	       \
	  "Instance UID",						       \
	  "传输此实例时连接中断",					       \
	  "若只在此实例时发生，归档系统可能因它崩溃：在归档系统日志中查"       \
	  "找此 SOP Instance UID")					       \
	X(LINE_BROKE, 3011, WARN, "line-broke",				       \
	  "the connection broke in the midst of a large instance",	       \
	  "nothing: it is tried again by itself",			       \
	  "连接在传输大实例途中断开",					       \
	  "无需处理：会自动重试")					       \
	X(SEND_TIMEOUT, 3012, WARN, "send-timeout",			       \
	  "the archive stopped reading during this instance",		       \
	  "it is tried again by itself; if it lasts, look at the "	       \
	  "archive's load, and at its log for this SOP Instance UID",	       \
	  "归档系统在此实例期间停止读取",				       \
	  "会自动重试；若持续，检查归档系统的负载，并在其日志中查找此 "	       \
	  "SOP Instance UID")						       \
	X(RESPONSE_TIMEOUT, 3013, WARN, "response-timeout",		       \
	  "the archive did not answer to this instance in time",	       \
	  "look at the archive's load, or raise timeouts.response of "	       \
	  "the destination",						       \
	  "归档系统未及时应答此实例",					       \
	  "检查归档系统的负载，或调高该目的地的 timeouts.response")	       \
	X(PROTOCOL, 3014, WARN, "protocol",				       \
	  "the archive broke the protocol during this instance",	       \
	  "report this to its vendor",					       \
	  "归档系统在此实例期间违反了协议",				       \
	  "报告给其供应商")						       \
	X(CORRUPT, 3015, ERROR, "corrupt",				       \
	  "our own copy is damaged: its seal does not fit",		       \
	  "send the instance again from the device; culvert spool check "      \
	  "says what else is damaged",					       \
	  "本地副本已损坏：封印不符",					       \
	  "从设备重新发送该实例；用 culvert spool check 查看还有哪些损坏")     \
	X(READ, 3016, ERROR, "read",					       \
	  "our own copy cannot be read from the spool",			       \
	  "check the disk under spool.path; culvert spool check says "	       \
	  "what is damaged",						       \
	  "无法从暂存区读取本地副本",					       \
	  "检查 spool.path 所在的磁盘；用 culvert spool check 查看哪些已"      \
	  "损坏")							       \
	X(DIRECTORY_FULL, 3017, ERROR, "directory-full",		       \
	  "no space left in the destination's directory",		       \
	  "make space; it goes on by itself",				       \
	  "目的地目录已无剩余空间",					       \
	  "腾出空间；之后会自动继续")					       \
	X(DIRECTORY_DENIED, 3018, ERROR, "directory-denied",		       \
	  "the destination's directory cannot be written",		       \
	  "check that it exists, and that the daemon's user may write to "     \
	  "it",								       \
	  "无法写入目的地目录",						       \
	  "检查目录是否存在，以及守护进程的用户能否写入")		       \
	X(DIRECTORY_IO, 3019, ERROR, "directory-io",			       \
	  "writing to the destination's directory failed",		       \
	  "look after the disk that the directory is on; it is tried "	       \
	  "again by itself",						       \
	  "写入目的地目录失败",						       \
	  "检查该目录所在的磁盘；会自动重试")				       \
	X(DIRECTORY_MESSAGE, 3020, WARN, "directory-message",		       \
	  "a directory takes instances only, no other messages",	       \
	  "route this service to a destination that speaks DICOM; "	       \
	  "culvert queue redirect moves what is queued",		       \
	  "目录只接受实例，不接受其他消息",				       \
	  "将此服务路由到使用 DICOM 的目的地；用 culvert queue redirect "      \
	  "转移已排队的内容")						       \
	X(CIRCUIT_OPEN, 3021, WARN, "circuit-open",			       \
	  "every endpoint failed lately and is left alone for now",	       \
	  "culvert status shows why; it is tried again by itself",	       \
	  "所有端点最近都失败过，暂时不再尝试",				       \
	  "用 culvert status 查看原因；会自动重试")			       \
	X(ENDPOINT_DOWN, 3022, WARN, "endpoint-down",			       \
	  "an endpoint failed several times in a row: live "		       \
	  "associations pass it by for a while",			       \
	  "culvert echo DESTINATION shows which step fails",		       \
	  "某端点连续失败多次：实时关联暂时绕过它",			       \
	  "用 culvert echo DESTINATION 查看哪一步失败")			       \
	X(PROBE_FAILED, 3023, WARN, "probe-failed",			       \
	  "what the destination accepts could not be asked",		       \
	  "culvert echo DESTINATION shows which step fails; it is "	       \
	  "asked again by itself",					       \
	  "无法询问目的地接受哪些内容",					       \
	  "用 culvert echo DESTINATION 查看哪一步失败；会自动再次询问")	       \
	X(LEG_LOST, 3024, WARN, "leg-lost",				       \
	  "a relayed connection was lost with requests of the device "	       \
	  "outstanding",						       \
	  "nothing: they are answered with their service's failure, "	       \
	  "and the next message opens it again",			       \
	  "中继连接中断，设备的请求尚未完成",				       \
	  "无需处理：这些请求以其服务的失败状态应答，下一条消息会重新打"       \
	  "开连接")							       \
	X(LEG_DIFFERS, 3025, WARN, "leg-differs",			       \
	  "the destination accepts other contexts than before",		       \
	  "nothing: the device gets them with its next association",	       \
	  "目的地接受的上下文与之前不同",				       \
	  "无需处理：设备在下一次关联时会得到新的上下文")		       \
	X(LEG_LOCAL, 3026, WARN, "leg-not-opened",			       \
	  "a relayed connection could not be opened on this side",	       \
	  "look at memory and open files of this machine",		       \
	  "本侧无法打开中继连接",					       \
	  "检查本机的内存和打开文件数")					       \
	X(REJECTED_BUSY, 3101, WARN, "rejected-busy",			       \
	  "the archive refuses associations for the moment, or is at "	       \
	  "its limit",							       \
	  "if it lasts, lower 'associations' of the destination or "	       \
	  "raise the archive's limit",					       \
	  "归档系统暂时拒绝关联，或已达上限",				       \
	  "若持续，调低该目的地的 'associations' 或调高归档系统的上限")	       \
	X(REJECTED_APPLICATION, 3102, WARN, "rejected-application",	       \
	  "the archive refuses the DICOM application context, or this "	       \
	  "version of the protocol",					       \
	  "check that the destination's port is a DICOM service",	       \
	  "归档系统拒绝 DICOM 应用上下文或此协议版本",			       \
	  "检查目的地端口是否为 DICOM 服务")				       \
	X(REJECTED_CALLING, 3103, ERROR, "rejected-calling",		       \
	  "the archive does not know the calling AE title",		       \
	  "declare this AE title at the archive, or set "		       \
	  "calling_ae_title of the destination",			       \
	  "归档系统不认识主叫 AE 名称",					       \
	  "在归档系统声明此 AE 名称，或设置该目的地的 calling_ae_title")       \
	X(REJECTED_CALLED, 3104, ERROR, "rejected-called",		       \
	  "the archive does not answer to the called AE title",		       \
	  "set ae_title of the destination to the archive's",		       \
	  "归档系统不响应被叫 AE 名称",					       \
	  "将该目的地的 ae_title 设为归档系统的名称")			       \
	X(REJECTED, 3105, ERROR, "rejected",				       \
	  "the archive rejects the association",			       \
	  "look at the archive's log; AE titles and addresses are the "	       \
	  "usual cause",						       \
	  "归档系统拒绝关联",						       \
	  "查看归档系统日志；通常原因是 AE 名称或地址")			       \
	X(ABORTED, 3106, WARN, "aborted",				       \
	  "the archive aborted the association during this instance",	       \
	  "look at the archive's log for this SOP Instance UID",	       \
	  "归档系统在此实例期间中止了关联",				       \
	  "在归档系统日志中查找此 SOP Instance UID")			       \
	X(ABORTED_IDLE, 3107, WARN, "aborted-idle",			       \
	  "the archive aborted the association",			       \
	  "nothing: it is tried again by itself",			       \
	  "归档系统中止了关联",						       \
	  "无需处理：会自动重试")					       \
	X(CONTEXT_REFUSED, 3108, ERROR, "context-refused",		       \
	  "the archive does not accept this SOP class in this transfer "       \
	  "syntax",							       \
	  "enable it at the archive; it is then released by itself",	       \
	  "归档系统不接受此传输语法下的此 SOP 类",			       \
	  "在归档系统启用；之后会自动放行")				       \
	X(ABSTRACT_SYNTAX_REFUSED, 3109, ERROR, "abstract-syntax-refused",     \
	  "the archive does not support this SOP class",		       \
	  "enable it at the archive; it is then released by itself",	       \
	  "归档系统不支持此 SOP 类",					       \
	  "在归档系统启用；之后会自动放行")				       \
	X(TRANSFER_SYNTAX_REFUSED, 3110, ERROR, "transfer-syntax-refused",     \
	  "the archive does not support this transfer syntax",		       \
	  "enable the codec at the archive; it is then released by "	       \
	  "itself",							       \
	  "归档系统不支持此传输语法",					       \
	  "在归档系统启用该编解码器；之后会自动放行")			       \
	X(ROLE_REFUSED, 3111, ERROR, "role-refused",			       \
	  "the destination does not take reports of this SOP class: it "       \
	  "refused the role of their sender",				       \
	  "let it accept the SCP role for this SOP class; it is then "	       \
	  "released by itself",						       \
	  "目的地不接受此 SOP 类的报告：它拒绝了发送方的角色",		       \
	  "让它为此 SOP 类接受 SCP 角色；之后会自动放行")
/* clang-format on */

#endif
