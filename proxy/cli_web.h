/* cli_web.h - `culvert web`, in parts. */
#ifndef PROXY_CLI_WEB_H
#define PROXY_CLI_WEB_H

/* culvert web passwd; argv[0] is "passwd". */
int cli_web_passwd(int argc, char **argv);

#endif
