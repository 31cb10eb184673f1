/* condition_peers.h - part of condition_table.h: peers that arrive, and TLS
 * with any peer. */
#ifndef PROXY_LIB_CONDITION_PEERS_H
#define PROXY_LIB_CONDITION_PEERS_H

/* clang-format off */
#define CONDITION_PEERS_MAP(X)						       \
	X(CALLED_AE_UNKNOWN, 2001, WARN, "called-ae-unknown",		       \
	  "the peer called an AE title that this listener does not "	       \
	  "answer to",							       \
	  "set one of the listener's AE titles on the device, or add "	       \
	  "the called one to listeners.NAME.ae_titles",			       \
	  "对方呼叫的 AE 名称不属于该监听端",				       \
	  "在设备上设置该监听端的 AE 名称之一，或将被呼叫的名称加入 "	       \
	  "listeners.NAME.ae_titles")					       \
	X(CALLING_AE_BLANK, 2002, WARN, "calling-ae-blank",		       \
	  "the peer sent a blank calling AE title",			       \
	  "give the device an AE title of its own, in its own "		       \
	  "settings, and declare it under 'devices'",			       \
	  "对方发送的主叫 AE 名称为空",					       \
	  "在设备自身设置中为其指定 AE 名称，并在 'devices' 下声明")	       \
	X(ADDRESS_UNKNOWN, 2003, WARN, "address-unknown",		       \
	  "no declared device has this address",			       \
	  "if it may come in, declare it under 'devices'; if not, find "       \
	  "out who this is",						       \
	  "没有已声明的设备使用此地址",					       \
	  "若允许接入，在 'devices' 下声明；否则查明其身份")		       \
	X(CALLING_AE_UNKNOWN, 2004, WARN, "calling-ae-unknown",		       \
	  "the address is that of a device, but the calling AE title "	       \
	  "is not declared for it",					       \
	  "correct the AE title on the device, or add it to "		       \
	  "devices.NAME.ae_title",					       \
	  "地址属于某设备，但未为其声明该主叫 AE 名称",			       \
	  "在设备上更正 AE 名称，或将其加入 devices.NAME.ae_title")	       \
	X(CALLING_AE_ELSEWHERE, 2005, WARN, "calling-ae-elsewhere",	       \
	  "the calling AE title is declared for a device with another "	       \
	  "address",							       \
	  "if it is the same device, add the address to "		       \
	  "devices.NAME.address; if not, give one of the two another "	       \
	  "AE title",							       \
	  "主叫 AE 名称已声明给另一地址的设备",				       \
	  "若为同一设备，将地址加入 devices.NAME.address；否则为其中之"	       \
	  "一更换 AE 名称")						       \
	X(LISTENER_DENIED, 2006, WARN, "listener-denied",		       \
	  "the device may not use this listener",			       \
	  "send to another port, or add the listener to "		       \
	  "devices.NAME.listeners",					       \
	  "该设备不得使用此监听端",					       \
	  "发送到其他端口，或将此监听端加入 devices.NAME.listeners")	       \
	X(CALLED_AE_DENIED, 2007, WARN, "called-ae-denied",		       \
	  "the device called an AE title that it may not call",		       \
	  "set one that it may call on the device, or add this one to "	       \
	  "devices.NAME.called",					       \
	  "设备呼叫了不允许其呼叫的 AE 名称",				       \
	  "在设备上设置允许呼叫的名称，或将此名称加入 "			       \
	  "devices.NAME.called")					       \
	X(CERTIFICATE_MISSING, 2008, WARN, "certificate-missing",	       \
	  "a certificate is declared for the device and it showed none",       \
	  "let it use TLS with its certificate, at a listener with TLS",       \
	  "为该设备声明了证书，但它没有出示",				       \
	  "让它在 TLS 监听端使用其证书通过 TLS 连接")			       \
	X(CERTIFICATE_DIFFERENT, 2009, WARN, "certificate-different",	       \
	  "the peer showed another certificate than is declared",	       \
	  "if the certificate was renewed, put the new one into "	       \
	  "devices.NAME.certificate; if not, find out who this is",	       \
	  "对方出示的证书与声明的不同",					       \
	  "若证书已更新，将新证书写入 devices.NAME.certificate；否则查"	       \
	  "明其身份")							       \
	X(LISTENER_FULL, 2010, WARN, "listener-full",			       \
	  "the listener has as many connections as "			       \
	  "listeners.NAME.limits.associations allows",			       \
	  "culvert association list shows who holds them; raise the "	       \
	  "limit if all are meant",					       \
	  "监听端的连接数已达 listeners.NAME.limits.associations 所允许的"     \
	  "上限",							       \
	  "用 culvert association list 查看由谁占用；若都属正常，调高上限")    \
	X(DEVICE_FULL, 2011, WARN, "device-full",			       \
	  "the device has as many associations as "			       \
	  "devices.NAME.limits.associations or "			       \
	  "listeners.NAME.limits.per_device allows",			       \
	  "see why it does not release them, or raise the limit",	       \
	  "设备的关联数已达 devices.NAME.limits.associations 或 "	       \
	  "listeners.NAME.limits.per_device 所允许的上限",		       \
	  "查明它为何不释放关联，或调高上限")				       \
	X(DEVICE_TOO_FAST, 2012, WARN, "device-too-fast",		       \
	  "the device opens associations faster than "			       \
	  "devices.NAME.limits.rate or listeners.NAME.limits.rate "	       \
	  "allows",							       \
	  "let it send more images on each, or raise the limit",	       \
	  "设备建立关联的速度超过 devices.NAME.limits.rate 或 "		       \
	  "listeners.NAME.limits.rate",					       \
	  "让它在每个关联中发送更多图像，或调高上限")			       \
	X(BAD_REQUEST, 2013, WARN, "bad-association-request",		       \
	  "what came is no valid DICOM association request",		       \
	  "this is not a DICOM device, or one with a fault; a capture "	       \
	  "of its first bytes tells more",				       \
	  "收到的不是有效的 DICOM 关联请求",				       \
	  "对方不是 DICOM 设备，或有故障；抓取其最初的字节可获得更多信"	       \
	  "息")								       \
	X(NOT_READY, 2014, WARN, "not-ready",				       \
	  "no new association is taken for now: the daemon is "		       \
	  "stopping, or audit records cannot be written",		       \
	  "look at the disk of records.path and at the log; it goes on "       \
	  "by itself",							       \
	  "暂不接受新的关联：守护进程正在停止，或无法写入审计记录",	       \
	  "检查 records.path 所在的磁盘和日志；之后会自动恢复")		       \
	X(DESTINATION_REFUSED, 2015, WARN, "destination-refused",	       \
	  "no destination of what the device asks for took it",		       \
	  "the leg-refused line before this one says which and why; "	       \
	  "culvert echo DESTINATION tries it",				       \
	  "设备所请求的服务没有任何目的地接受",				       \
	  "此行之前的 leg-refused 日志行说明是哪个目的地及原因；可用 "	       \
	  "culvert echo DESTINATION 测试")				       \
	X(LEFT_EARLY, 2016, WARN, "left-early",				       \
	  "the device left before its destinations had answered",	       \
	  "look for leg-refused lines; "				       \
	  "destinations.NAME.timeouts.relay bounds the wait",		       \
	  "设备在目的地应答之前就离开了",				       \
	  "查看 leg-refused 日志行；等待时间由 "			       \
	  "destinations.NAME.timeouts.relay 限定")			       \
	X(ARTIM_EXPIRED, 2017, WARN, "artim-expired",			       \
	  "no A-ASSOCIATE-RQ came within the time allowed",		       \
	  "a port scan or a stalled device; "				       \
	  "listeners.NAME.timeouts.artim sets the time",		       \
	  "在允许的时间内没有收到 A-ASSOCIATE-RQ",			       \
	  "可能是端口扫描或停滞的设备；时间由 "				       \
	  "listeners.NAME.timeouts.artim 设定")				       \
	X(HANDSHAKES_LIMITED, 2018, WARN, "handshakes-limited",		       \
	  "more TLS handshakes than listeners.NAME.limits.handshakes "	       \
	  "allows: new connections wait",				       \
	  "see who connects so often, or raise the limit",		       \
	  "TLS 握手多于 listeners.NAME.limits.handshakes 所允许：新连接"       \
	  "需等待",							       \
	  "查明是谁如此频繁地连接，或调高上限")				       \
	X(REQUEST_REFUSED, 2019, WARN, "request-refused",		       \
	  "a request of a device was answered with a failure; further "	       \
	  "ones of this association are only counted",			       \
	  "see status and detail in the line; the device keeps what "	       \
	  "was refused and may send it again",				       \
	  "对设备的请求返回了失败；同一关联的后续失败只计数",		       \
	  "查看日志行中的 status 和 detail；被拒绝的内容仍在设备上，可"	       \
	  "再次发送")							       \
	X(MESSAGE_REFUSED, 2020, WARN, "message-refused",		       \
	  "a message came that may not be sent in this presentation "	       \
	  "context",							       \
	  "a fault of the peer, or a service that is not declared for "	       \
	  "it: see services of the device",				       \
	  "收到了在此表示上下文中不允许发送的消息",			       \
	  "对方有故障，或使用了未为其声明的服务：检查该设备的 services")       \
	X(TLS_EXPIRED, 2601, WARN, "tls-expired",			       \
	  "the peer's certificate has expired",				       \
	  "renew it at the peer; see that this machine's clock is right",      \
	  "对方的证书已过期",						       \
	  "在对方更新证书；确认本机时钟正确")				       \
	X(TLS_NOT_YET_VALID, 2602, WARN, "tls-not-yet-valid",		       \
	  "the peer's certificate is not valid yet",			       \
	  "check the clocks of both machines",				       \
	  "对方的证书尚未生效",						       \
	  "检查两台机器的时钟")						       \
	X(TLS_UNKNOWN_CA, 2603, WARN, "tls-unknown-ca",			       \
	  "the peer's certificate comes from a CA that is not trusted "	       \
	  "here",							       \
	  "add that CA to tls.ca if it is trusted, or let the peer "	       \
	  "send its intermediate certificates",				       \
	  "对方证书的签发 CA 在此不受信任",				       \
	  "若可信任，将该 CA 加入 tls.ca，或让对方发送中间证书")	       \
	X(TLS_WEAK_KEY, 2604, WARN, "tls-weak-key",			       \
	  "the peer's certificate has a key that is not safe",		       \
	  "have it issued anew with RSA from 2048 or EC from 256 bits",	       \
	  "对方证书的密钥不安全",					       \
	  "用 2048 位以上的 RSA 或 256 位以上的 EC 重新签发")		       \
	X(TLS_UNVERIFIED, 2605, WARN, "tls-unverified",			       \
	  "the peer's certificate failed verification",			       \
	  "see the detail; have it issued anew if it is faulty",	       \
	  "对方的证书未通过验证",					       \
	  "查看详情；若证书有误，重新签发")				       \
	X(TLS_NO_CERTIFICATE, 2606, WARN, "tls-no-certificate",		       \
	  "the peer showed no certificate, and one is required",	       \
	  "configure a client certificate at the peer",			       \
	  "对方没有出示证书，而此处要求证书",				       \
	  "在对方配置客户端证书")					       \
	X(TLS_WRONG_NAME, 2607, WARN, "tls-wrong-name",			       \
	  "the server's certificate is for another host",		       \
	  "connect by a name it carries, set tls.server_name, or have "	       \
	  "it issued with this name",					       \
	  "服务器证书属于另一主机",					       \
	  "使用证书中的名称连接，设置 tls.server_name，或用此名称重新签"       \
	  "发")								       \
	X(TLS_WRONG_FINGERPRINT, 2608, WARN, "tls-wrong-fingerprint",	       \
	  "the peer's certificate is not the one configured by its "	       \
	  "fingerprint",						       \
	  "if it was renewed, update the fingerprint; if not, find out "       \
	  "who answers there",						       \
	  "对方的证书与配置的指纹不符",					       \
	  "若证书已更新，更新指纹；否则查明是谁在应答")			       \
	X(TLS_OLD_VERSION, 2609, WARN, "tls-old-version",		       \
	  "the peer has no TLS version that is allowed here",		       \
	  "update it, or enable TLS 1.2 or 1.3 there",			       \
	  "对方没有此处允许的 TLS 版本",				       \
	  "升级对方，或在对方启用 TLS 1.2 或 1.3")			       \
	X(TLS_PLAINTEXT, 2610, WARN, "tls-plaintext",			       \
	  "the peer does not speak TLS on a TLS connection",		       \
	  "switch TLS on there, or use the port that is meant for it: "	       \
	  "DICOM over TLS often has 2762",				       \
	  "对方在 TLS 连接上没有使用 TLS",				       \
	  "在对方启用 TLS，或使用正确的端口：DICOM over TLS 常用 2762")	       \
	X(TLS_OUR_CERTIFICATE, 2611, WARN, "tls-our-certificate",	       \
	  "the peer refused our certificate, or wants one and we have "	       \
	  "none",							       \
	  "let the peer trust the CA that issued it; renew it if it "	       \
	  "has expired; configure tls.certificate and tls.key",		       \
	  "对方拒绝了我方证书，或要求证书而我方没有",			       \
	  "让对方信任签发它的 CA；若已过期则更新；配置 tls.certificate "       \
	  "和 tls.key")							       \
	X(TLS_NOTHING_COMMON, 2612, WARN, "tls-nothing-common",		       \
	  "no cipher suite, group or signature in common with the peer",       \
	  "update the peer, or enable AES-GCM with ECDHE and X25519, "	       \
	  "P-256 or P-384 there",					       \
	  "与对方没有共同的密码套件、群或签名算法",			       \
	  "升级对方，或在对方启用 AES-GCM 与 ECDHE 以及 X25519、P-256 "	       \
	  "或 P-384")							       \
	X(TLS_PROTOCOL_NAME, 2613, WARN, "tls-protocol-name",		       \
	  "the two ends do not speak the same protocol above TLS",	       \
	  "check host and port; point it to the listener that is meant "       \
	  "for it",							       \
	  "两端在 TLS 之上使用的协议不同",				       \
	  "检查主机和端口；指向为其准备的监听端")			       \
	X(TLS_INTEGRITY, 2614, WARN, "tls-integrity",			       \
	  "a record of TLS failed its integrity check",			       \
	  "bytes were changed on the way, or the peer's TLS is faulty: "       \
	  "look at what stands between",				       \
	  "TLS 记录未通过完整性校验",					       \
	  "字节在途中被更改，或对方的 TLS 有故障：检查中间设备")	       \
	X(TLS_FAILED, 2615, WARN, "tls-handshake",			       \
	  "the TLS handshake failed",					       \
	  "see the detail; check certificates and TLS settings of both "       \
	  "sides, and the peer's log",					       \
	  "TLS 握手失败",						       \
	  "查看详情；检查双方的证书和 TLS 设置，以及对方的日志")	       \
	X(TLS_CA_EXPIRED, 2616, WARN, "tls-ca-expired",			       \
	  "a CA certificate in the file of trusted ones has expired: "	       \
	  "it is left out",						       \
	  "remove it from the file, or put its successor in its place",	       \
	  "受信任 CA 文件中的某个 CA 证书已过期：已忽略",		       \
	  "将其从文件中删除，或换成其后继证书")
/* clang-format on */

#endif
