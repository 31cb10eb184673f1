/* cli_pki.h - `culvert pki`: make a CA, issue and show certificates. */
#ifndef PROXY_CLI_PKI_H
#define PROXY_CLI_PKI_H

/* argv[0] is "pki". Returns the exit status: 0 done, 1 failed, 2 misuse. */
int cli_pki(int argc, char **argv);

#endif
