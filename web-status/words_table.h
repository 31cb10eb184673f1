/* words_table.h - the rows of words.h, by view. */
#ifndef WEB_STATUS_WORDS_TABLE_H
#define WEB_STATUS_WORDS_TABLE_H

#define WORD_MAP(X)                                                            \
	WORD_LAYOUT_MAP(X)                                                     \
	WORD_NOW_MAP(X)                                                        \
	WORD_TROUBLE_MAP(X)                                                    \
	WORD_STATE_MAP(X)                                                      \
	WORD_TRANSFER_MAP(X)                                                   \
	WORD_REFUSED_MAP(X)                                                    \
	WORD_AUDIT_MAP(X)                                                      \
	WORD_CONFIGURATION_MAP(X)                                              \
	WORD_EVENT_MAP(X)

#define WORD_LAYOUT_MAP(X)                                                     \
	X(SKIP, "Skip to content", "跳到正文")                                 \
	X(VIEWS, "Views", "页面")                                              \
	X(SETTINGS, "Display and session", "显示与会话")                       \
	X(NOW, "Now", "当前")                                                  \
	X(TRANSFERS, "Transfers", "传输")                                      \
	X(REFUSED, "Refused", "拒绝")                                          \
	X(AUDIT, "Audit", "审计")                                              \
	X(CONFIGURATION, "Configuration", "配置")                              \
	X(WALL, "Wall display", "大屏")                                        \
	X(OTHER_LANGUAGE, "中文", "English")                                   \
	X(DARK, "Dark", "深色")                                                \
	X(LIGHT, "Light", "浅色")                                              \
	X(LOGOUT, "Log out", "退出")                                           \
	X(LOGIN, "Log in", "登录")                                             \
	X(LOGIN_TITLE, "Log in to {1}", "登录 {1}")                            \
	X(USER, "User", "用户")                                                \
	X(PASSWORD, "Password", "密码")                                        \
	X(LOGIN_WRONG, "User or password is wrong.", "用户名或密码不正确。")   \
	X(LOGIN_WAIT, "Too many attempts: try again in {1}.",                  \
	  "尝试次数过多：请在 {1} 后再试。")                                   \
	X(LOGIN_STALE, "The form was too old: please try again.",              \
	  "表单已过期：请重试。")                                              \
	X(E_BAD, "The request is not valid.", "请求无效。")                    \
	X(E_ROLE, "This is not for your role.", "您的角色无权查看。")          \
	X(E_NOTHING, "There is nothing here.", "此处没有内容。")               \
	X(E_READ_ONLY, "This page is read-only.", "此页面只读。")              \
	X(E_LONG, "The address is too long.", "地址过长。")                    \
	X(E_HOST,                                                              \
	  "This server does not go by that name; status.hosts lists its "      \
	  "names.",                                                            \
	  "服务器没有这个名称；可用名称见 status.hosts。")                     \
	X(E_MANY, "Too much at once; try again shortly.",                      \
	  "请求过多；请稍后再试。")                                            \
	X(E_AWAY, "It does not answer now; try again shortly.",                \
	  "暂时没有应答；请稍后再试。")                                        \
	X(E_FAILED, "Something went wrong here; the log says more.",           \
	  "出现错误；详情见日志。")                                            \
	X(LIVE, "live", "实时")                                                \
	X(LIVE_OFF, "not live: reconnecting", "非实时：正在重连")              \
	X(MADE_AT, "As of {1}", "截至 {1}")                                    \
	X(VERSION, "Culvert {1}", "Culvert {1}")                               \
	X(NOTICES, "Licences", "许可声明")                                     \
	X(NONE, "none", "无")                                                  \
	X(NEVER, "never", "从未")                                              \
	X(UNKNOWN, "not known", "未知")                                        \
	X(YES, "yes", "是")                                                    \
	X(NO, "no", "否")                                                      \
	X(ANY, "any", "任意")                                                  \
	X(ALL, "all", "全部")                                                  \
	X(OLDER, "Older", "更早")                                              \
	X(NEWER, "Newer", "更新")                                              \
	X(NEWEST, "Newest", "最新")                                            \
	X(NEXT, "Next page", "下一页")                                         \
	X(FIRST_PAGE, "First page", "第一页")                                  \
	X(SECONDS, "{1} s", "{1} 秒")                                          \
	X(MINUTES, "{1} min", "{1} 分钟")                                      \
	X(HOURS, "{1} h {2} min", "{1} 小时 {2} 分")                           \
	X(DAYS, "{1} d {2} h", "{1} 天 {2} 小时")                              \
	X(LEDGER_GONE, "The ledger cannot be read: {1}", "无法读取台账：{1}")  \
	X(DAEMON_GONE,                                                         \
	  "The service does not answer, so live figures are missing.",         \
	  "服务没有应答，因此没有实时数据。")

#define WORD_NOW_MAP(X)                                                        \
	X(DESTINATIONS, "Destinations", "目的地")                              \
	X(DESTINATION, "Destination", "目的地")                                \
	X(STATE, "State", "状态")                                              \
	X(LINE_USE, "Line against limit", "线路与限速")                        \
	X(QUEUE, "Queue", "队列")                                              \
	X(OLDEST, "Oldest", "最早")                                            \
	X(DRAIN, "Time to drain", "预计清空")                                  \
	X(QUALITY, "Quality of the line", "线路质量")                          \
	X(LAST_SUCCESS, "Last success", "最近成功")                            \
	X(NO_LIMIT, "no limit", "不限速")                                      \
	X(OF_LIMIT, "of {1}", "上限 {1}")                                      \
	X(LIMIT_NEXT, "{1} from {2}", "{2} 起 {1}")                            \
	X(RTT, "RTT {1} ms", "往返 {1} 毫秒")                                  \
	X(RETRANSMITS, "{1} retransmitted", "重传 {1}")                        \
	X(MTU, "path MTU {1}", "路径 MTU {1}")                                 \
	X(ENDPOINT_DOWN, "{1} is down", "{1} 不可用")                          \
	X(PLAINTEXT, "plaintext: {1}", "明文：{1}")                            \
	X(PLAINTEXT_NO_REASON, "plaintext", "明文")                            \
	X(INSTANCES_N, "{1} instances", "{1} 个实例")                          \
	X(OF_HELD, "{1} held", "{1} 个被挂起")                                 \
	X(ARRIVED_N, "{1} arrived at the far end", "{1} 个已到达远端")         \
	X(NO_RATE_YET, "no throughput yet", "尚无吞吐量")                      \
	X(STANDS, "does not move", "停滞")                                     \
	X(EMPTY, "empty", "空")                                                \
	X(DEVICES, "Devices", "设备")                                          \
	X(DEVICE, "Device", "设备")                                            \
	X(LAST_SEEN, "Last seen", "最近活动")                                  \
	X(TODAY_IMAGES, "Images today", "今日影像")                            \
	X(TODAY_BYTES, "Bytes today", "今日字节")                              \
	X(TODAY_REFUSALS, "Refused today", "今日拒绝")                         \
	X(TODAY_ZONE, "Today is that of {1}", "“今日”按 {1} 时间")             \
	X(TODAY_HERE, "Today is by this machine's clock", "“今日”按本机时间")  \
	X(MACHINE, "This machine", "本机")                                     \
	X(UPTIME, "Running for", "已运行")                                     \
	X(ASSOCIATIONS, "Open associations", "当前关联")                       \
	X(SPOOL, "Spool", "暂存区")                                            \
	X(SPOOL_USE, "{1} of {2} used", "已用 {1} / {2}")                      \
	X(DISK, "Disk at {1}", "磁盘 {1}")                                     \
	X(DISK_USE, "{1} free of {2}", "可用 {1} / {2}")                       \
	X(LEDGER, "Ledger", "台账")                                            \
	X(LEDGER_OK, "written, {1} instances", "正常写入，{1} 个实例")         \
	X(LEDGER_REBUILDING, "being rebuilt", "正在重建")                      \
	X(LEDGER_STUCK, "cannot be written", "无法写入")                       \
	X(COMMITMENT, "Storage commitment", "存储确认")                        \
	X(COMMITMENT_N, "{1} waiting, {2} asked", "{1} 等待，{2} 已请求")      \
	X(CERTIFICATES, "Certificates", "证书")                                \
	X(CERTIFICATE, "Certificate", "证书")                                  \
	X(SUBJECT, "Subject", "主体")                                          \
	X(USED_BY, "Used by", "使用者")                                        \
	X(VALID_UNTIL, "Valid until", "有效期至")                              \
	X(DAYS_LEFT, "Days left", "剩余天数")                                  \
	X(NO_CERTIFICATES, "No certificates are in use.", "未使用证书。")      \
	X(CHARTS, "Over time", "趋势")                                         \
	X(RANGE, "Range", "时间范围")                                          \
	X(THROUGHPUT, "Throughput", "吞吐量")                                  \
	X(QUEUED, "Queue", "队列")                                             \
	X(LATENCY, "Acknowledgement latency", "应答延迟")                      \
	X(SERIES_IN, "in", "接收")                                             \
	X(SERIES_OUT, "out", "发送")                                           \
	X(SERIES_COUNT, "instances", "实例")                                   \
	X(SERIES_P50, "median", "中位数")                                      \
	X(SERIES_P99, "99th percentile", "99 百分位")                          \
	X(TIME, "Time", "时间")                                                \
	X(AS_TABLE, "As a table", "以表格显示")                                \
	X(NO_FIGURES, "No figures in this range yet.", "此范围内尚无数据。")   \
	X(RANGE_1H, "1 h", "1 小时")                                           \
	X(RANGE_6H, "6 h", "6 小时")                                           \
	X(RANGE_24H, "24 h", "24 小时")                                        \
	X(RANGE_7D, "7 d", "7 天")                                             \
	X(RANGE_30D, "30 d", "30 天")                                          \
	X(RANGE_90D, "90 d", "90 天")                                          \
	X(WAITING_N, "waiting", "等待中")                                      \
	X(IN_OUT, "in {1}, out {2}", "接收 {1}，发送 {2}")                     \
	X(OLDEST_IS, "oldest {1}", "最早 {1}")                                 \
	X(DRAINED_IN, "done in {1}", "约 {1}后清空")

/* Headlines of what is wrong, and what to do first where the catalogue of
 * conditions has no row for it. */
#define WORD_TROUBLE_MAP(X)                                                          \
	X(ALL_WELL, "All is well", "一切正常")                                       \
	X(ALL_WELL_MORE,                                                             \
	  "{1} destinations, {2} instances waiting, {3} devices declared.",          \
	  "{1} 个目的地，{2} 个实例等待，已声明 {3} 台设备。")                       \
	X(DO_FIRST, "First:", "首先：")                                              \
	X(ALSO, "And {1} more:", "另有 {1} 项：")                                    \
	X(T_DAEMON, "Culvert does not answer", "Culvert 没有应答")                   \
	X(R_DAEMON,                                                                  \
	  "Look whether it runs: systemctl status culvert, then journalctl "         \
	  "-u culvert. What was acknowledged is safe on disk.",                      \
	  "检查是否在运行：systemctl status culvert，再看 journalctl -u " \
	  "culvert。已应答的影像安全存于磁盘。")                                     \
	X(T_SPOOL_FAILED, "The spool cannot be written: no image is taken in",       \
	  "暂存区无法写入：不再接收影像")                                            \
	X(R_SPOOL_FAILED,                                                            \
	  "Replace or repair the disk under spool.path, then restart. "              \
	  "Devices "                                                                 \
	  "keep their images until then.",                                           \
	  "更换或修复 spool.path 所在磁盘后重启。在此之前影像留在设备上。")          \
	X(T_SPOOL_FULL, "The spool is full: images are refused",                     \
	  "暂存区已满：正在拒绝影像")                                                \
	X(R_SPOOL_FULL,                                                              \
	  "Get the destinations below going again, or raise spool.quota.",           \
	  "让下面的目的地恢复发送，或提高 spool.quota。")                            \
	X(T_SPOOL_ALERT, "The spool needs attention", "暂存区需要处理")              \
	X(R_SPOOL_ALERT, "Run culvert spool check and follow what it says.",         \
	  "运行 culvert spool check 并按提示处理。")                                 \
	X(T_LEDGER, "The ledger cannot be written", "台账无法写入")                  \
	X(R_LEDGER,                                                                  \
	  "Free space or repair the disk under records.path. Images are safe "       \
	  "in the spool meanwhile.",                                                 \
	  "释放空间或修复 records.path 所在磁盘。期间影像安全存于暂存区。")          \
	X(T_NOT_ACCEPTING, "New associations are refused: records lag behind",       \
	  "正在拒绝新关联：记录滞后")                                                \
	X(T_REBUILDING, "The ledger is being rebuilt", "台账正在重建")               \
	X(R_REBUILDING, "Wait until it is done; images go on arriving.",             \
	  "等待完成；影像照常接收。")                                                \
	X(T_HELD, "{1} does not take what it is sent",                               \
	  "{1} 不接受所发送的内容")                                                  \
	X(R_HELD,                                                                    \
	  "Put right what the destination refuses; it is tried again by "            \
	  "itself.",                                                                 \
	  "纠正目的地拒绝的原因；系统会自动重试。")                                  \
	X(T_OPERATOR, "{1} is held by an operator", "{1} 已被操作员挂起")            \
	X(R_OPERATOR, "When it may go on: culvert queue release {1}",                \
	  "可以继续时：culvert queue release {1}")                                   \
	X(T_DOWN, "Images cannot be sent to {1}", "影像无法发送到 {1}")              \
	X(R_DOWN, "Look for the cause: culvert echo {1}. Images wait here.",         \
	  "查找原因：culvert echo {1}。影像在此等待。")                              \
	X(T_ENDPOINT, "{1}: an endpoint is down", "{1}：有一个端点不可用")           \
	X(R_ENDPOINT,                                                                \
	  "The others carry on. Look for the cause: culvert echo "                   \
	  "{1}",                                                                     \
	  "其余端点继续工作。查找原因：culvert echo {1}")                            \
	X(T_EXPIRED, "A certificate of {1} has expired", "{1} 的证书已过期")         \
	X(T_EXPIRES, "A certificate of {1} expires in {2} days",                     \
	  "{1} 的证书将在 {2} 天后过期")                                             \
	X(R_EXPIRES,                                                                 \
	  "Put a new certificate in place of {1}, then: culvert "                    \
	  "reload",                                                                  \
	  "用新证书替换 {1}，然后执行：culvert reload")                              \
	X(T_DISK, "The disk at {1} is nearly full", "{1} 所在磁盘即将写满")          \
	X(R_DISK, "Free space there, or move it to a larger disk.",                  \
	  "释放空间，或迁移到更大的磁盘。")

#define WORD_STATE_MAP(X)                                                      \
	X(S_IDLE, "idle", "空闲")                                              \
	X(S_SENDING, "sending", "发送中")                                      \
	X(S_CONNECTING, "connecting", "连接中")                                \
	X(S_BACKOFF, "waiting to retry", "等待重试")                           \
	X(S_HELD, "held", "被挂起")                                            \
	X(S_OPERATOR, "held by operator", "操作员挂起")                        \
	X(S_STOPPED, "stopped", "已停止")                                      \
	X(D_QUEUED, "queued", "排队中")                                        \
	X(D_HELD, "held", "被挂起")                                            \
	X(D_QUARANTINED, "quarantined", "已隔离")                              \
	X(D_DELIVERED, "delivered", "已送达")                                  \
	X(D_WITHDRAWN, "withdrawn", "已撤回")                                  \
	X(D_DISCARDED, "discarded", "已放弃")                                  \
	X(D_UNCOMMITTED, "delivered, not yet committed", "已送达，待确认")     \
	X(D_COMMITTED, "committed", "已确认存储")                              \
	X(D_ARRIVED, "arrived at the far end", "已到达远端")

#define WORD_TRANSFER_MAP(X)                                                   \
	X(SEARCH, "Search", "搜索")                                            \
	X(CLEAR_SEARCH, "Clear", "清除")                                       \
	X(FROM, "From (UTC)", "起始 (UTC)")                                    \
	X(TO, "To (UTC)", "结束 (UTC)")                                        \
	X(STUDY_UID, "Study UID", "检查 UID")                                  \
	X(ACCESSION, "Accession number", "检查号")                             \
	X(ACCESSION_AUDITOR,                                                   \
	  "Only an auditor may search by accession number.",                   \
	  "只有审计员可以按检查号搜索。")                                      \
	X(ACCESSION_FAILED, "Searching by accession number failed: {1}",       \
	  "按检查号搜索失败：{1}")                                             \
	X(UNREADY,                                                             \
	  "{1} older series are still being indexed and are not found by "     \
	  "accession number yet.",                                             \
	  "还有 {1} 个较早的序列正在建立索引，暂时无法按检查号找到。")         \
	X(BAD_TIME, "A time is not valid: write 2026-05-04T09:15.",            \
	  "时间无效：请写成 2026-05-04T09:15。")                               \
	X(RECEIVED, "Received", "接收时间")                                    \
	X(STUDY, "Study", "检查")                                              \
	X(MODALITY, "Modality", "设备类型")                                    \
	X(SIZE, "Size", "大小")                                                \
	X(ATTEMPTS, "Attempts", "尝试")                                        \
	X(NOTHING_FOUND, "Nothing fits this search.", "没有符合条件的记录。")  \
	X(LOOK_FURTHER,                                                        \
	  "Much was looked through and little fits: go on with Older.",        \
	  "已查看大量记录，符合的很少：请继续点击“更早”。")                    \
	X(DOWNLOAD, "Download", "下载")                                        \
	X(DOWNLOAD_FAILED, "The download cannot be made: {1}",                 \
	  "无法下载：{1}")                                                     \
	X(STUDY_TITLE, "Study {1}", "检查 {1}")                                \
	X(STUDY_UNKNOWN, "No instance of this study is on record.",            \
	  "没有该检查的记录。")                                                \
	X(SERIES, "Series", "序列")                                            \
	X(INSTANCES, "Instances", "实例")                                      \
	X(INSTANCE, "Instance", "实例")                                        \
	X(FIRST_LAST, "First and last received", "首末接收时间")               \
	X(CALLING, "Calling AE title", "主叫 AE")                              \
	X(CALLED, "Called AE title", "被叫 AE")                                \
	X(RECEIPT, "Receipt", "回执")                                          \
	X(RECEIPT_JSON, "Receipt as JSON", "JSON 回执")                        \
	X(DELIVERIES, "Deliveries", "投递")                                    \
	X(HASH, "SHA-256 tree", "SHA-256 树")                                  \
	X(CHUNKS, "{1} chunks of 1 MiB", "{1} 个 1 MiB 分块")                  \
	X(CHUNKS_SENT, "{1} of {2} chunks", "{1} / {2} 块")                    \
	X(NEXT_ATTEMPT, "Next attempt {1}", "下次尝试 {1}")                    \
	X(REMOTE_STATUS, "Answer", "应答")                                     \
	X(CAUSE, "Cause", "原因")                                              \
	X(REMEDY, "Remedy", "处理")                                            \
	X(PROTECTED_BY, "Protected by", "保护方式")                            \
	X(MESSAGE, "message {1}", "消息 {1}")                                  \
	X(TRANSFER_SYNTAX, "Transfer syntax", "传输语法")                      \
	X(SOP_CLASS, "SOP class", "SOP 类")                                    \
	X(PEER, "From", "来自")

#define WORD_REFUSED_MAP(X)                                                    \
	X(REFUSED_INTRO,                                                       \
	  "Who was turned away, the newest first, and what would admit them.", \
	  "被拒绝的接入（最新在前），以及允许其接入的方法。")                  \
	X(REFUSED_NONE, "Nobody was turned away.", "没有被拒绝的接入。")       \
	X(TIMES_N, "{1} times", "{1} 次")                                      \
	X(SINCE, "since {1}", "自 {1} 起")                                     \
	X(WHO, "Who", "谁")                                                    \
	X(WHEN, "When", "时间")                                                \
	X(WHY, "Why", "原因")                                                  \
	X(ADMIT, "Would be admitted by", "允许接入的配置")                     \
	X(CALLS_ITSELF, "calls itself {1}", "自称 {1}")                        \
	X(CALLS, "calls {1} at {2}", "在 {2} 呼叫 {1}")                        \
	X(ADMIT_CARE, "Add it only when you know who this is.",                \
	  "仅在确认对方身份后添加。")                                          \
	X(COPY, "Copy", "复制")                                                \
	X(COPIED, "Copied", "已复制")

#define WORD_AUDIT_MAP(X)                                                      \
	X(AUDIT_CHAIN, "Chain", "链")                                          \
	X(AUDIT_ROWS, "Rows", "行数")                                          \
	X(AUDIT_HEAD, "Last signed head", "最近签名头")                        \
	X(AUDIT_HEAD_NONE, "none signed yet", "尚未签名")                      \
	X(AUDIT_HEAD_AT, "row {1}, {2}", "第 {1} 行，{2}")                     \
	X(AUDIT_UNSIGNED, "Rows after it", "其后的行")                         \
	X(AUDIT_KEY, "Signing key", "签名密钥")                                \
	X(AUDIT_PAGE_OK, "The {1} rows shown are as they were written.",       \
	  "所示 {1} 行与写入时一致。")                                         \
	X(AUDIT_PAGE_BAD,                                                      \
	  "Row {1} is not as it was written: its hash "                        \
	  "differs.",                                                          \
	  "第 {1} 行与写入时不一致：哈希不符。")                               \
	X(AUDIT_VERIFY_HOW,                                                    \
	  "All of it, and with heads kept elsewhere: culvert audit verify",    \
	  "验证全部（含保存在别处的签名头）：culvert audit verify")            \
	X(AUDIT_NONE, "No row fits.", "没有符合的行。")                        \
	X(AUDIT_MISSING, "The audit cannot be read: {1}", "无法读取审计：{1}") \
	X(AUDIT_GO_ON, "Nothing among the rows looked at: go on with Older.",  \
	  "已查看的行中没有符合的：请继续点击“更早”。")                        \
	X(EVENT, "Event", "事件")                                              \
	X(OUTCOME, "Outcome", "结果")                                          \
	X(ROW, "Row", "行")                                                    \
	X(DETAIL, "Detail", "详情")                                            \
	X(O_SUCCESS, "success", "成功")                                        \
	X(O_MINOR, "minor failure", "轻微失败")                                \
	X(O_SERIOUS, "serious failure", "严重失败")                            \
	X(O_MAJOR, "major failure", "重大失败")                                \
	X(O_FROM_MINOR, "any failure", "任何失败")                             \
	X(O_FROM_SERIOUS, "serious failure or worse", "严重及以上失败")        \
	X(SEALED, "sealed value", "密封值")                                    \
	X(ERASED, "sealed value erased", "密封值已擦除")                       \
	X(DOWNLOAD_FILTERED, "Download what fits this filter",                 \
	  "下载符合条件的记录")                                                \
	X(FORMAT_CSV, "CSV", "CSV")                                            \
	X(FORMAT_JSONL, "JSON Lines", "JSON Lines")                            \
	X(FORMAT_DICOM, "DICOM audit messages", "DICOM 审计消息")

/* Events of the audit, by their names in store/audit.h. */
#define WORD_EVENT_MAP(X)                                                      \
	X(K_START, "start", "启动")                                            \
	X(K_STOP, "stop", "停止")                                              \
	X(K_CONFIG_LOADED, "configuration loaded", "配置已加载")               \
	X(K_CONFIG_REFUSED, "configuration refused", "配置被拒绝")             \
	X(K_ASSOCIATION_ACCEPTED, "association accepted", "关联已接受")        \
	X(K_ASSOCIATION_REFUSED, "association refused", "关联被拒绝")          \
	X(K_ASSOCIATION_ENDED, "association ended", "关联已结束")              \
	X(K_TLS_FAILED, "TLS handshake failed", "TLS 握手失败")                \
	X(K_INSTANCES_BEGIN, "transfer of instances begun", "实例开始传输")    \
	X(K_INSTANCES_RECEIVED, "instances received", "已接收实例")            \
	X(K_INSTANCES_TRANSFERRED, "instances transferred", "实例传输完成")    \
	X(K_QUARANTINE, "quarantined", "已隔离")                               \
	X(K_HELD, "held", "已挂起")                                            \
	X(K_RELEASED, "released", "已放行")                                    \
	X(K_MANUAL_ACTION, "manual action", "人工操作")                        \
	X(K_EXPORT, "export", "导出")                                          \
	X(K_SPOOL_ALERT, "spool needs attention", "暂存区告警")                \
	X(K_LEDGER_REBUILT, "ledger rebuilt", "台账已重建")                    \
	X(K_CLOCK_STEP, "clock stepped", "时钟跳变")                           \
	X(K_AUDIT_GAP, "gap in the audit", "审计记录有缺口")                   \
	X(K_QUERY, "query", "查询")                                            \
	X(K_RETRIEVE, "retrieval", "检索获取")                                 \
	X(K_PROCEDURE_STEP, "procedure step", "操作步骤")                      \
	X(K_COMMITMENT_REQUESTED, "storage commitment asked for",              \
	  "已请求存储确认")                                                    \
	X(K_COMMITMENT_REPORTED, "storage commitment reported",                \
	  "已回报存储确认")                                                    \
	X(K_MESSAGE_REFUSED, "message refused", "消息被拒绝")                  \
	X(K_RELAYED, "message relayed", "消息已中继")                          \
	X(K_TLS_ACCEPTED, "TLS handshake succeeded", "TLS 握手成功")           \
	X(K_CONFIG_CHANGED, "configuration changed", "配置已更改")             \
	X(K_PRUNED, "audit pruned", "审计记录已清理")                          \
	X(K_ERASED, "sealed value erased", "密封值已擦除")                     \
	X(K_TRANSFERS_PRUNED, "transfers pruned", "传输记录已清理")            \
	X(K_SIGNING_KEY_MADE, "signing key made", "已生成签名密钥")            \
	X(K_HEAD_RECEIVED, "head of another audit received",                   \
	  "已收到对端审计签名头")                                              \
	X(K_LOGIN, "log-in", "登录")                                           \
	X(K_LOGIN_FAILED, "log-in failed", "登录失败")                         \
	X(K_LOGOUT, "log-out", "退出登录")

#define WORD_CONFIGURATION_MAP(X)                                              \
	X(MATRIX, "Who may do what", "访问矩阵")                               \
	X(MATRIX_INTRO,                                                        \
	  "Each device, the services it may use, and where they lead.",        \
	  "每台设备可用的服务及其去向。")                                      \
	X(SERVICE, "Service", "服务")                                          \
	X(ADDRESSES, "Addresses", "地址")                                      \
	X(AE_TITLES, "AE titles", "AE 标题")                                   \
	X(IDENTITY, "Certificate", "证书")                                     \
	X(NO_ROUTE, "allowed, but no route takes it", "允许，但没有路由")      \
	X(ROLES, "Roles and rights", "角色与权限")                             \
	X(RIGHT, "Right", "权限")                                              \
	X(OPERATOR, "operator", "操作员")                                      \
	X(SECURITY, "security", "安全员")                                      \
	X(AUDITOR, "auditor", "审计员")                                        \
	X(NOBODY_NEEDED, "open", "公开")                                       \
	X(EFFECTIVE, "Values in force", "生效的配置")                          \
	X(EFFECTIVE_INTRO,                                                     \
	  "Defaults included. Keys are files: only their paths stand here.",   \
	  "含默认值。密钥为文件：此处只有路径。")                              \
	X(NO_DEVICES, "No device is declared.", "未声明设备。")                \
	X(A_FORWARD, "forward", "转发")                                        \
	X(A_RELAY, "relay", "中继")                                            \
	X(A_HOLD, "hold", "保留")

#endif
