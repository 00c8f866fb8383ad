/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_daemon.h - the real ringside-blk as a child process, in a scratch directory.
 * Tests only. One daemon per process: Check forks each test. The current directory is the
 * scratch directory, so names of images and sockets are short and relative.
 *
 * $RINGSIDE_BLK and $RINGSIDECTL are the programs; blkd_is() names another daemon.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BLK_DAEMON_H
#define RINGSIDE_TESTS_PROTOCOL_BLK_DAEMON_H

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define BLKD_SOCKET "disk.sock"
#define BLKD_LOG    "daemon.log"
#define SKIPPED     77 /* exit status; the last line of stdout says why */

/* wait_for - poll @condition for up to 5 s. */
#define wait_for(condition)                                                        \
	do {                                                                       \
		unsigned ms_ = 0;                                                  \
		while (!(condition) && ms_++ < 5000)                               \
			usleep(1000);                                              \
		ck_assert_msg((condition), "still not after 5 s: %s", #condition); \
	} while (0)

/* run_in_scratch - the main() of a test: run @suite in a directory of its own, removed at the
 * end. Return: the exit status. */
int run_in_scratch(Suite *suite);

/* make_image - a sparse file of @bytes, replacing one of that name. */
void make_image(const char *name, uint64_t bytes);

/* image_read, image_write - bytes of a file, behind the daemon's back. */
void image_read(const char *name, uint64_t offset, void *to, size_t bytes);
void image_write(const char *name, uint64_t offset, const void *from, size_t bytes);

/* blkd_is - from here on the daemon is @name, whose path is in the environment's @variable. */
void blkd_is(const char *name, const char *variable);

/*
 * blkd_start - run it with @options (words between single spaces) and wait until it serves. It
 * listens on BLKD_SOCKET unless the options name a --disk, --vm, --fd or --socket-path.
 */
void blkd_start(const char *options);

/* blkd_spawn - the same without waiting. */
void blkd_spawn(const char *options);

/* blkd_stop - SIGTERM: it must exit with 0. blkd_kill - SIGKILL. Both wait until it is gone. */
void blkd_stop(void);
void blkd_kill(void);

/* blkd_exit_status - wait up to 5 s for it to exit by itself. Return: its exit status. */
int blkd_exit_status(void);

/* blkd_signal - send @sig. blkd_pid - for /proc. */
void blkd_signal(int sig);
pid_t blkd_pid(void);

/* blkd_cpu_ns - processor time of all its threads so far, in ns. */
uint64_t blkd_cpu_ns(void);

/* blkd_logged - has it written @text to stderr? */
bool blkd_logged(const char *text);

/* blkd_call - ringsidectl with @arguments. Return: the result, or NULL when it was refused. */
json_t *blkd_call(const char *arguments);

/* blkd_stat - one number of stats, of the first disk's first queue, by keys such as
 * "errors/no_space" or "requests/read/bytes"; 0 when absent. */
uint64_t blkd_stat(const char *keys);

#endif
