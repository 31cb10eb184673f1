/* cli_transfers.h - culvert transfers. */
#ifndef PROXY_CLI_TRANSFERS_H
#define PROXY_CLI_TRANSFERS_H

int cli_transfers(int argc, char **argv);

#endif
