/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.h - one line per event on stderr, and the two ways an operator's mistake ends a program.
 * Layer L0. Safe from any thread: a line is one write(2).
 *
 * Line form:  LEVEL object: message        e.g.  warn blk0/q2: avail index 7 -> 9000, size 256
 */
#ifndef RINGSIDE_BASE_LOG_H
#define RINGSIDE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* log_init - name the program (kept, not copied) for fatal lines; level defaults to LOG_INFO. */
void log_init(const char *program);

/* log_set_level - by name: error, warn, info, debug. Return: 0, or -EINVAL for another word. */
int log_set_level(const char *name);

bool log_enabled(enum log_level level);

/* log_line - write one line; @object names what it is about ("blk0/q2"). */
void log_line(enum log_level level, const char *object, const char *fmt, ...) printf_like(3, 4);

#define log_error(object, ...) log_line(LOG_ERROR, object, __VA_ARGS__)
#define log_warn(object, ...)  log_line(LOG_WARN, object, __VA_ARGS__)
#define log_info(object, ...)  log_line(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)                                    \
	do {                                                      \
		if (log_enabled(LOG_DEBUG))                       \
			log_line(LOG_DEBUG, object, __VA_ARGS__); \
	} while (0)

/*
 * What a guest or a front-end causes can come millions of times a second, so it is counted and
 * logged at most five times in each window of ten seconds. One limit per object; used by one
 * thread at a time.
 */
struct log_limit {
	uint64_t window_start_ns;
	uint32_t in_window;
	uint32_t suppressed;
};

/* log_limited - true when this line may be written. Says how many were suppressed before it. */
bool log_limited(struct log_limit *limit, const char *object);

#define log_warn_limited(limit, object, ...)                     \
	do {                                                     \
		if (log_limited((limit), (object)))              \
			log_line(LOG_WARN, object, __VA_ARGS__); \
	} while (0)

/* fatal - the operator's input cannot be served: "program: message" on stderr, exit 1. */
_Noreturn void fatal(const char *fmt, ...) printf_like(1, 2);

/* usage_error - the command line itself is wrong: the message, "try PROGRAM --help", exit 2. */
_Noreturn void usage_error(const char *fmt, ...) printf_like(1, 2);

#endif
