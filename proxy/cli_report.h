/* cli_report.h - culvert report. */
#ifndef PROXY_CLI_REPORT_H
#define PROXY_CLI_REPORT_H

int cli_report(int argc, char **argv);

#endif
