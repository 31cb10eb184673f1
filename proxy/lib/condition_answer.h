/* condition_answer.h - part of condition_table.h: answers of a destination. */
#ifndef PROXY_LIB_CONDITION_ANSWER_H
#define PROXY_LIB_CONDITION_ANSWER_H

/* clang-format off */
#define CONDITION_ANSWER_MAP(X)						       \
	X(WARNING, 4001, NOTE, "warning",				       \
	  "the destination has it and answered with a warning",		       \
	  "nothing has to be done; see the status for what it means",	       \
	  "目的地已收到，并以警告应答",					       \
	  "无需处理；其含义见状态码")					       \
	X(DUPLICATE, 4002, NOTE, "duplicate",				       \
	  "the destination has this SOP Instance UID already",		       \
	  "nothing has to be done; it may have arrived by an earlier "	       \
	  "try",							       \
	  "目的地已有此 SOP Instance UID",				       \
	  "无需处理；可能由先前的尝试送达")				       \
	X(COERCED, 4003, NOTE, "coerced",				       \
	  "stored; the destination changed or discarded attributes",	       \
	  "its copy is no longer bit-identical: see its coercion rules",       \
	  "已存储；目的地更改或丢弃了属性",				       \
	  "其副本不再逐位相同：查看其强制转换规则")			       \
	X(STEP_CLOSED_AGAIN, 4004, NOTE, "step-closed-again",		       \
	  "the procedure step is final there: this is the repetition "	       \
	  "of a try whose answer was lost",				       \
	  "nothing has to be done",					       \
	  "该检查步骤在对方已终结：这是应答丢失后的重复尝试",		       \
	  "无需处理")							       \
	X(ATTRIBUTE, 4010, WARN, "attribute",				       \
	  "the destination finds an attribute missing or invalid",	       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地认为某属性缺失或无效",					       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(PROCESSING_FAILURE, 4011, WARN, "processing-failure",		       \
	  "the destination failed while processing the request",	       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地在处理请求时失败",					       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(INVALID_UID, 4012, WARN, "invalid-uid",			       \
	  "the destination finds the SOP Instance UID invalid",		       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地认为 SOP Instance UID 无效",				       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(CLASS_CONFLICT, 4013, WARN, "class-conflict",			       \
	  "the destination knows this SOP Instance UID with another "	       \
	  "SOP class",							       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地已用另一 SOP 类登记此 SOP Instance UID",		       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(CLASS_UNSUPPORTED, 4014, ERROR, "class-unsupported",		       \
	  "the destination does not support this SOP class",		       \
	  "enable the SOP class there; what is held is then released "	       \
	  "by itself",							       \
	  "目的地不支持此 SOP 类",					       \
	  "在对方启用该 SOP 类；之后扣留的内容会自动放行")		       \
	X(NOT_AUTHORISED, 4015, ERROR, "not-authorised",		       \
	  "the destination does not authorise this request",		       \
	  "ask its administrator to allow it; what is held is then "	       \
	  "released by itself",						       \
	  "目的地未授权此请求",						       \
	  "请其管理员允许；之后扣留的内容会自动放行")			       \
	X(UNRECOGNISED_OPERATION, 4016, ERROR, "unrecognised-operation",       \
	  "the destination does not take this kind of request",		       \
	  "check that its port offers this service, or enable it "	       \
	  "there; what is held is then released by itself",		       \
	  "目的地不接受此类请求",					       \
	  "检查该端口是否提供此服务，或在对方启用；之后扣留的内容会自动"       \
	  "放行")							       \
	X(OUT_OF_RESOURCES, 4017, WARN, "out-of-resources",		       \
	  "the destination is out of resources",			       \
	  "check its disk, its quota and its load; it is tried again "	       \
	  "by itself",							       \
	  "目的地资源不足",						       \
	  "检查其磁盘、配额和负载；会自动重试")				       \
	X(CLASS_MISMATCH, 4018, WARN, "class-mismatch",			       \
	  "the destination says that the data set does not match its "	       \
	  "SOP class",							       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地称数据集与其 SOP 类不符",				       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(CANNOT_UNDERSTAND, 4019, WARN, "cannot-understand",		       \
	  "the destination cannot understand the data set",		       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地无法理解该数据集",					       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(CANCELLED, 4020, WARN, "cancelled",				       \
	  "the destination cancelled the request",			       \
	  "nothing: it is tried again by itself",			       \
	  "目的地取消了请求",						       \
	  "无需处理：会自动重试")					       \
	X(PENDING, 4021, WARN, "pending",				       \
	  "the destination answered with a pending status where none "	       \
	  "may be",							       \
	  "report this to its vendor",					       \
	  "目的地以不应出现的“待处理”状态应答",				       \
	  "报告给其供应商")						       \
	X(STATUS_REFUSED, 4022, WARN, "status-refused",			       \
	  "the destination refused the request",			       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地拒绝了请求",						       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(NO_SUCH_INSTANCE, 4023, WARN, "no-such-instance",		       \
	  "the destination does not know the SOP instance that the "	       \
	  "request is about",						       \
	  "see what became of the N-CREATE before it, and that the "	       \
	  "destination offers this service",				       \
	  "目的地不认识请求所涉及的 SOP 实例",				       \
	  "查看之前的 N-CREATE 结果，并确认目的地提供此服务")		       \
	X(ARGUMENT, 4024, WARN, "argument",				       \
	  "the destination finds the argument of the request invalid",	       \
	  "look at its log for this SOP Instance UID",			       \
	  "目的地认为请求的参数无效",					       \
	  "在其日志中查找此 SOP Instance UID")				       \
	X(DUPLICATE_INVOCATION, 4025, WARN, "duplicate-invocation",	       \
	  "the destination takes the message ID for one in use",	       \
	  "report this to its vendor",					       \
	  "目的地认为该消息 ID 正在使用",				       \
	  "报告给其供应商")						       \
	X(STEP_CLOSED, 4026, ERROR, "step-closed",			       \
	  "the procedure step is final there and takes no change",	       \
	  "compare the step at the destination; then culvert queue "	       \
	  "discard drops this update, culvert queue retry sends it once "      \
	  "more",							       \
	  "该检查步骤在对方已终结，不再接受更改",			       \
	  "在目的地核对该步骤；然后用 culvert queue discard 丢弃此更新，"      \
	  "或用 culvert queue retry 再发送一次")
/* clang-format on */

#endif
