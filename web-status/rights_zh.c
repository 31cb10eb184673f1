#include "web-status/rights_zh.h"

#include <string.h>

#include "proxy/lib/mem.h"

static const struct {
	enum right_kind kind;
	const char *name, *what;
} rows[] = {
    {RIGHT_OP, "status", "查看队列、目的地、设备、限速与告警"},
    {RIGHT_OP, "queue-list", "查看等待与已投递的内容"},
    {RIGHT_OP, "queue-show", "查看单个实例或消息的全部信息"},
    {RIGHT_OP, "transfers-search", "查找传输；按患者或检查号仅限审计员"},
    {RIGHT_OP, "transfers-show", "查看一项检查的每个实例"},
    {RIGHT_OP, "association-list", "查看接入与外连的关联"},
    {RIGHT_OP, "association-show", "查看对端所提议与所获得的内容"},
    {RIGHT_OP, "operation-list", "查看转发了什么"},
    {RIGHT_OP, "refused-list", "查看谁被拒绝及原因"},
    {RIGHT_OP, "device-list", "查看设备最近一次出现的时间"},
    {RIGHT_OP, "retry", "立即重试投递"},
    {RIGHT_OP, "hold", "暂不发送投递"},
    {RIGHT_OP, "release", "放行被挂起的投递"},
    {RIGHT_OP, "redirect", "改送到其他目的地"},
    {RIGHT_OP, "discard", "放弃投递"},
    {RIGHT_OP, "export", "将等待中的实例写为 DICOM 文件"},
    {RIGHT_OP, "reload", "启用更改后的配置"},
    {RIGHT_OP, "audit-head", "取得审计的签名头"},
    {RIGHT_OP, "audit-heads", "查看来自某设备的审计头"},
    {RIGHT_OP, "audit-key", "查看校验签名头所用的公钥"},
    {RIGHT_OP, "audit-verify", "检查审计是否完整"},
    {RIGHT_OP, "audit-prune", "清理超过保留期的记录"},
    {RIGHT_OP, "audit-hold", "超期保留记录，或解除保留"},
    {RIGHT_OP, "audit-erase", "擦除密封值"},
    {RIGHT_OP, "audit-clock", "时钟跳变后确认时钟"},
    {RIGHT_OP, "audit-export", "导出审计记录"},
    {RIGHT_OP, "transfers-export", "导出传输记录；患者信息仅限审计员"},
    {RIGHT_OP, "search-key", "按患者或检查号搜索"},
    {RIGHT_OP, "receipt", "检查的签名回执"},
    {RIGHT_OP, "report", "现成报告"},
    {RIGHT_OP, "web-event", "记录页面登录：仅限守护进程自身用户"},
    {RIGHT_PAGE, "/healthz", "页面是否运行"},
    {RIGHT_PAGE, "/readyz", "是否接收影像"},
    {RIGHT_PAGE, "/login", "登录"},
    {RIGHT_PAGE, "/logout", "退出"},
    {RIGHT_PAGE, "/assets/", "样式、脚本、图标"},
    {RIGHT_PAGE, "/", "当前"},
    {RIGHT_PAGE, "/wall", "大屏"},
    {RIGHT_PAGE, "/events", "当前，实时"},
    {RIGHT_PAGE, "/metrics", "指标"},
    {RIGHT_PAGE, "/series", "图表数据"},
    {RIGHT_PAGE, "/transfers", "传输"},
    {RIGHT_PAGE, "/transfers/", "检查、回执与下载"},
    {RIGHT_PAGE, "/refused", "被拒绝的接入"},
    {RIGHT_PAGE, "/configuration", "生效的配置与权限"},
    {RIGHT_PAGE, "/audit", "审计"},
    {RIGHT_PAGE, "/audit/", "审计的下载"},
};

const char *right_what_zh(const struct right *r)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].kind == r->kind &&
		    strcmp(rows[i].name, r->name) == 0)
			return rows[i].what;
	return r->what;
}
