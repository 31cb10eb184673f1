/* cli_receipt.h - culvert receipt. */
#ifndef PROXY_CLI_RECEIPT_H
#define PROXY_CLI_RECEIPT_H

int cli_receipt(int argc, char **argv);

#endif
