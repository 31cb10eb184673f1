/* condition_link.h - part of condition_table.h: the chunk link. */
#ifndef PROXY_LIB_CONDITION_LINK_H
#define PROXY_LIB_CONDITION_LINK_H

/* clang-format off */
#define CONDITION_LINK_MAP(X)						       \
	X(LINK_NO_SPACE, 5001, WARN, "link-no-space",			       \
	  "no space in the spool of the far end",			       \
	  "culvert status at the far end shows what fills it; free that, "     \
	  "or raise its spool.quota",					       \
	  "远端的暂存区没有空间",					       \
	  "在远端用 culvert status 查看被什么占满；腾出空间，或调高其 "	       \
	  "spool.quota")						       \
	X(LINK_STORE, 5002, WARN, "link-store",				       \
	  "the far end cannot write to its spool",			       \
	  "look after the disk of the far end's spool; it is tried again "     \
	  "by itself",							       \
	  "远端无法写入其暂存区",					       \
	  "检查远端暂存区的磁盘；会自动重试")				       \
	X(LINK_BUSY, 5003, WARN, "link-busy",				       \
	  "too many transfers are open at the far end",			       \
	  "nothing: it is tried again by itself",			       \
	  "远端打开的传输过多",						       \
	  "无需处理：会自动重试")					       \
	X(LINK_NO_ROUTE, 5004, ERROR, "link-no-route",			       \
	  "no route at the far end takes it",				       \
	  "give the far end a route for it; it is then released by "	       \
	  "itself",							       \
	  "远端没有路由接受它",						       \
	  "在远端为其配置路由；之后会自动放行")				       \
	X(LINK_NOT_ACCEPTED, 5005, ERROR, "link-not-accepted",		       \
	  "the archive at the far end does not accept this SOP class "	       \
	  "in this transfer syntax",					       \
	  "enable it at the far archive; it is then released by itself",       \
	  "远端的归档系统不接受此传输语法下的此 SOP 类",		       \
	  "在远端归档系统启用；之后会自动放行")				       \
	X(LINK_TOO_LARGE, 5006, WARN, "link-too-large",			       \
	  "the instance is larger than the far end takes",		       \
	  "raise spool.quota of the far end: one instance may take three "     \
	  "quarters of it",						       \
	  "该实例大于远端所接受的上限",					       \
	  "调高远端的 spool.quota：单个实例最多占其四分之三")		       \
	X(LINK_METADATA, 5007, ERROR, "link-metadata",			       \
	  "the far end cannot use what it was told of the transfer (its "      \
	  "metadata)",							       \
	  "compare the versions of Culvert at both ends: culvert status "      \
	  "shows them",							       \
	  "远端无法使用该传输的元数据",					       \
	  "比较两端的 Culvert 版本：culvert status 会显示")		       \
	X(LINK_ROOT, 5008, ERROR, "link-root",				       \
	  "all chunks are at the far end, but together they do not have "      \
	  "the hash that was announced",				       \
	  "check memory and disks at both ends, then try again",	       \
	  "所有分块都已到达远端，但合起来与所声明的哈希不符",		       \
	  "检查两端的内存和磁盘，然后重试")				       \
	X(LINK_CONFLICT, 5009, ERROR, "link-conflict",			       \
	  "the far end knows this transfer with other content",		       \
	  "find out whether another machine runs with a copy of this "	       \
	  "spool, and stop that one",					       \
	  "远端已有此传输，但内容不同",					       \
	  "查明是否有另一台机器使用此暂存区的副本在运行，并将其停止")	       \
	X(LINK_REFUSED, 5010, WARN, "link-refused",			       \
	  "the far end does not go on with a transfer",			       \
	  "nothing: it is tried again by itself",			       \
	  "远端不继续某个传输",						       \
	  "无需处理：会自动重试")					       \
	X(LINK_VERSION, 5021, ERROR, "link-version",			       \
	  "no protocol version in common with the far end",		       \
	  "install versions that have one in common",			       \
	  "与远端没有共同的协议版本",					       \
	  "安装具有共同版本的软件")					       \
	X(LINK_LIMITS, 5022, ERROR, "link-limits",			       \
	  "the two ends have limits that do not go together",		       \
	  "compare window and transfers at both ends, and whether the "	       \
	  "far end takes transfers",					       \
	  "两端的限制互不相容",						       \
	  "比较两端的 window 和 transfers，以及远端是否接受传输")	       \
	X(LINK_UNDECLARED, 5023, ERROR, "link-undeclared",		       \
	  "our certificate is not of a device that is declared at the "	       \
	  "far end",							       \
	  "declare a device with this certificate and services: [link] "       \
	  "at the far end",						       \
	  "我方证书不属于远端声明的设备",				       \
	  "在远端用此证书声明设备，并设 services: [link]")		       \
	X(LINK_SELF, 5024, ERROR, "link-self",				       \
	  "both ends of the link are the same store",			       \
	  "the destination is this Culvert itself, or its spool was "	       \
	  "copied: check the address",					       \
	  "链路两端是同一存储",						       \
	  "目的地就是本 Culvert，或其暂存区被复制：检查地址")		       \
	X(LINK_ENDED, 5025, WARN, "link-ended",				       \
	  "the far end ended the link",					       \
	  "nothing: it is opened again by itself; if it lasts, see the "       \
	  "far end's log",						       \
	  "远端结束了链路",						       \
	  "无需处理：会自动重新打开；若持续，查看远端日志")		       \
	X(LINK_BAD_CHUNK, 5030, ERROR, "link-bad-chunk",		       \
	  "the far end found one chunk wrong three times",		       \
	  "check the memory of both machines and whatever stands "	       \
	  "between, then try again",					       \
	  "远端三次发现同一分块有误",					       \
	  "检查两台机器的内存及中间设备，然后重试")			       \
	X(CHUNK_REFUSED, 5031, WARN, "chunk-refused",			       \
	  "the far end found a chunk wrong: it is sent again",		       \
	  "nothing; if it repeats, check the memory of both machines "	       \
	  "and whatever stands between",				       \
	  "远端发现某分块有误：正在重新发送",				       \
	  "无需处理；若反复出现，检查两台机器的内存及中间设备")		       \
	X(TOO_MANY_LINKS, 5032, WARN, "too-many-links",			       \
	  "the device has links of 16 stores already",			       \
	  "declare one device for each edge",				       \
	  "该设备已有 16 个存储的链路",					       \
	  "为每个边缘端声明一个设备")					       \
	X(BAD_LINK_REQUEST, 5033, WARN, "bad-link-request",		       \
	  "what came is no valid beginning of a link",			       \
	  "this is not a Culvert that dials a link, or one with other "	       \
	  "limits; see the cause",					       \
	  "收到的不是有效的链路开端",					       \
	  "对方不是拨入链路的 Culvert，或其限制不同；查看原因")		       \
	X(FAR_STORE_CHANGED, 5034, ERROR, "far-store-changed",		       \
	  "the store at the far end is another than before: what had "	       \
	  "arrived there is asked for again",				       \
	  "nothing if it was set up anew or restored; otherwise find "	       \
	  "out what answers at this address",				       \
	  "远端存储与之前不同：正在重新询问已送达的内容",		       \
	  "若是重装或恢复则无需处理；否则查明此地址由谁应答")		       \
	X(TCP_OPTION, 5035, WARN, "link-option",			       \
	  "an option of a link's connection could not be set",		       \
	  "see the detail; the link works, perhaps slower",		       \
	  "无法设置链路连接的某个选项",					       \
	  "查看详情；链路可用，但可能较慢")				       \
	X(LINK_LOST, 5036, WARN, "link-lost",				       \
	  "a connection of the link was lost or fell silent",		       \
	  "nothing: it is opened again and goes on at the first "	       \
	  "missing chunk",						       \
	  "链路的某个连接中断或不再有数据",				       \
	  "无需处理：会重新打开，并从第一个缺失的分块继续")		       \
	X(LINK_BROKEN, 5037, WARN, "link-broken",			       \
	  "a connection of the link was closed for a fault of the "	       \
	  "other end",							       \
	  "nothing durable is lost; if it repeats, compare the "	       \
	  "versions at both ends",					       \
	  "因对端故障关闭了链路的某个连接",				       \
	  "已持久保存的内容没有丢失；若反复出现，比较两端的版本")	       \
	X(LINK_EXPIRED, 5038, WARN, "link-expired",			       \
	  "an unfinished transfer was given up: its sender did not "	       \
	  "come back in time",						       \
	  "nothing: the edge still has it and sends it anew; "		       \
	  "listeners.NAME.link.keep sets the time",			       \
	  "放弃了未完成的传输：发送方未按时返回",			       \
	  "无需处理：边缘端仍保有并会重新发送；时间由 "			       \
	  "listeners.NAME.link.keep 设定")				       \
	X(LINK_REPLACED, 5039, ERROR, "link-replaced-often",		       \
	  "the links of a device replace each other several times a "	       \
	  "minute",							       \
	  "two machines run with the same spool and certificate: stop "	       \
	  "one of them",						       \
	  "某设备的链路每分钟多次互相取代",				       \
	  "两台机器使用同一暂存区和证书运行：停掉其中一台")		       \
	X(FAR_END_WAITS, 5040, WARN, "far-end-waits",			       \
	  "the archive at the far end has not taken it yet",		       \
	  "culvert queue list at the far end says why; it is tried again "     \
	  "there by itself",						       \
	  "远端的归档系统尚未接受",					       \
	  "在远端用 culvert queue list 查看原因；远端会自动重试")	       \
	X(FAR_END_GAVE_UP, 5041, ERROR, "far-end-gave-up",		       \
	  "the far end has it in quarantine, or it was discarded there",       \
	  "culvert queue list at the far end says why; culvert queue "	       \
	  "retry here sends it again",					       \
	  "远端已将其隔离，或已在那里丢弃",				       \
	  "在远端用 culvert queue list 查看原因；在此处用 culvert queue "      \
	  "retry 重新发送")						       \
	X(TRANSFER_RELEASED, 5042, WARN, "transfer-released",		       \
	  "the far end has it no more: it is sent again",		       \
	  "nothing; if it repeats, look after the far spool",		       \
	  "远端已不再持有：正在重新发送",				       \
	  "无需处理；若反复出现，检查远端暂存区")
/* clang-format on */

#endif
