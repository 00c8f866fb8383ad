/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - format a line and write it in one call.
 * Layer L0. Safe from any thread: the only state shared is the level.
 */
#include "vhost/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/clock.h"

#define LINE_BYTES 1024 /* a longer line is cut, and ends in "..." */

#define LIMIT_WINDOW_NS 10000000000ull
#define LIMIT_BURST     5

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};
static_assert(ARRAY_SIZE(level_names) == LOG_DEBUG + 1, "a name for every level");

static const char *program_name = "ringside";
static int current_level = LOG_INFO;

void log_init(const char *program)
{
	program_name = program;
}

int log_set_level(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (!strcmp(name, level_names[i])) {
			__atomic_store_n(&current_level, (int)i, __ATOMIC_RELAXED);
			return 0;
		}
	}
	return -EINVAL;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= __atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

/*
 * write_line - "@prefix@object: message\n" to stderr in one write(2), so that lines of several
 * threads never mix. A control character (an operator's file name, a peer's string) becomes '?'
 * and so cannot start a line of its own.
 * Syscalls: write
 */
static void write_line(const char *prefix, const char *object, const char *fmt, va_list args)
{
	int saved = errno;
	char line[LINE_BYTES];
	size_t room = sizeof(line) - 1; /* for the newline */
	size_t used = 0;
	int n;

	n = snprintf(line, room, "%s%s: ", prefix, object);
	if (n > 0)
		used = min_of((size_t)n, room - 1);
	n = vsnprintf(line + used, room - used, fmt, args);
	if (n > 0 && (size_t)n >= room - used) {
		used = room - 1;
		memcpy(line + used - 3, "...", 3);
	} else if (n > 0) {
		used += (size_t)n;
	}
	for (size_t i = 0; i < used; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[used++] = '\n';
	/* Where stderr is gone or full there is nobody left to tell. */
	while (write(STDERR_FILENO, line, used) < 0 && errno == EINTR)
		;
	errno = saved;
}

void log_line(enum log_level level, const char *object, const char *fmt, ...)
{
	char prefix[16];
	va_list args;

	if (!log_enabled(level))
		return;
	snprintf(prefix, sizeof(prefix), "%s ", level_names[level]);
	va_start(args, fmt);
	write_line(prefix, object, fmt, args);
	va_end(args);
}

bool log_limited(struct log_limit *limit, const char *object)
{
	uint64_t now = clock_ns();

	if (limit->window_start_ns == 0 || now - limit->window_start_ns >= LIMIT_WINDOW_NS) {
		if (limit->suppressed)
			log_line(LOG_WARN, object, "%u more such lines left out",
				 limit->suppressed);
		limit->window_start_ns = now;
		limit->in_window = 0;
		limit->suppressed = 0;
	}
	if (limit->in_window < LIMIT_BURST) {
		limit->in_window++;
		return true;
	}
	if (limit->suppressed < UINT32_MAX)
		limit->suppressed++;
	return false;
}

void fatal(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line("", program_name, fmt, args);
	va_end(args);
	exit(1);
}

/* hint - the second line of a usage error. */
static void hint(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line("", program_name, fmt, args);
	va_end(args);
}

void usage_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line("", program_name, fmt, args);
	va_end(args);
	hint("try %s --help", program_name);
	exit(2);
}
