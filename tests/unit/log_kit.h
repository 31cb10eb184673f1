/* log_kit.h - a test reads what the log has said. */
#ifndef TESTS_UNIT_LOG_KIT_H
#define TESTS_UNIT_LOG_KIT_H

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/condition_seen.h"

static char said[1 << 16]; /* as of the last look */
static int log_fd, kept_fd;

/* From now on standard error goes to a file of no name. */
static inline void listen_to_log(void)
{
	char path[] = "/tmp/culvert-test-said-XXXXXX";

	log_fd = mkstemp(path);
	assert_true(log_fd >= 0);
	(void)unlink(path);
	kept_fd = dup(STDERR_FILENO);
	assert_true(kept_fd >= 0);
	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
}

static inline void end_listening(void)
{
	assert_true(dup2(kept_fd, STDERR_FILENO) >= 0);
	(void)close(kept_fd);
	(void)close(log_fd);
}

static inline bool has_said(const char *words)
{
	ssize_t n = pread(log_fd, said, sizeof(said) - 1, 0);

	assert_true(n >= 0);
	said[n] = '\0';
	return strstr(said, words) != NULL;
}

/* Within 20 seconds the log has a line of event, with the condition's words. */
static inline void says(const char *event, const char *code, const char *phrase)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", event);
	for (int i = 0; i < 10000 && !has_said(word); i++)
		usleep(2000);
	condition_seen(condition_of_event(event), code, phrase, said);
}

#endif
