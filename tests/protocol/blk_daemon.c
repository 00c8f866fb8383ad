/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_daemon.c - see blk_daemon.h. Tests only.
 */
#include "tests/protocol/blk_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/protocol/footprint.h"

#define CONTROL  "ctl.sock"
#define MAX_ARGS 24

static const char *daemon_name = "ringside-blk", *daemon_variable = "RINGSIDE_BLK";
static pid_t daemon_pid;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

int run_in_scratch(Suite *suite)
{
	/* Not /tmp, which may be memory: direct I/O is to be tested on a file system. */
	char dir[] = "/var/tmp/ringside-test-XXXXXX";
	SRunner *runner = srunner_create(suite);
	int failed;

	if (!mkdtemp(dir) || chdir(dir)) {
		perror(dir);
		return EXIT_FAILURE;
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (chdir("/") || nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT))
		perror(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void make_image(const char *name, uint64_t bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

void image_read(const char *name, uint64_t offset, void *to, size_t bytes)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, to, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

void image_write(const char *name, uint64_t offset, const void *from, size_t bytes)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, from, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static const char *program(const char *variable)
{
	const char *path = getenv(variable);

	ck_assert_msg(path && path[0] == '/', "$%s must be the full path of a program", variable);
	return path;
}

void blkd_is(const char *name, const char *variable)
{
	daemon_name = name;
	daemon_variable = variable;
}

static _Noreturn void become_daemon(const char *path, char *const *argv)
{
	int log = open(BLKD_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, 2);
	execv(path, argv);
	_exit(127);
}

void blkd_spawn(const char *options)
{
	const char *path = program(daemon_variable);
	char *argv[MAX_ARGS + 3] = {(char *)daemon_name, "--control-path=" CONTROL};
	char copy[1024], *word, *rest = copy;
	int argc = 2;

	ck_assert_int_eq(daemon_pid, 0);
	if (!strstr(options, "--disk=") && !strstr(options, "--vm=") && !strstr(options, "--fd=") &&
	    !strstr(options, "--socket-path="))
		argv[argc++] = "--socket-path=" BLKD_SOCKET;
	ck_assert_uint_lt(strlen(options), sizeof(copy));
	memcpy(copy, options, strlen(options) + 1);
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		if (*word)
			argv[argc++] = word;
	unlink(BLKD_LOG);
	unlink(CONTROL);
	daemon_pid = fork();
	ck_assert_int_ge(daemon_pid, 0);
	if (!daemon_pid)
		become_daemon(path, argv);
}

/* logged - all it wrote, for a failing test. */
static const char *logged(void)
{
	static char text[16384];
	int fd = open(BLKD_LOG, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

void blkd_start(const char *options)
{
	int status;

	blkd_spawn(options);
	/* The control socket is made last. */
	while (access(CONTROL, F_OK)) {
		if (waitpid(daemon_pid, &status, WNOHANG) == daemon_pid)
			ck_abort_msg("%s: the daemon ended with status %x: %s", options, status,
				     logged());
		usleep(1000);
	}
}

static int reap(unsigned timeout_ms)
{
	int status, done = 0;
	unsigned ms;

	for (ms = 0; ms < timeout_ms && !done; ms++) {
		done = waitpid(daemon_pid, &status, WNOHANG);
		if (!done)
			usleep(1000);
	}
	ck_assert_msg(done == daemon_pid, "the daemon has not ended: %s", logged());
	daemon_pid = 0;
	return status;
}

void blkd_stop(void)
{
	int status;

	blkd_signal(SIGTERM);
	status = reap(20000); /* sanitizers look for leaks at the end */
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the daemon ended with status %x: %s", status, logged());
}

void blkd_kill(void)
{
	blkd_signal(SIGKILL);
	reap(5000);
}

int blkd_exit_status(void)
{
	int status = reap(5000);

	ck_assert_msg(WIFEXITED(status), "ended with status %x: %s", status, logged());
	return WEXITSTATUS(status);
}

void blkd_signal(int sig)
{
	ck_assert_int_gt(daemon_pid, 0);
	ck_assert_int_eq(kill(daemon_pid, sig), 0);
}

pid_t blkd_pid(void)
{
	return daemon_pid;
}

uint64_t blkd_cpu_ns(void)
{
	return cpu_ns(daemon_pid);
}

bool blkd_logged(const char *text)
{
	return strstr(logged(), text);
}

json_t *blkd_call(const char *arguments)
{
	char command[512];
	json_t *result;
	FILE *pipe;

	snprintf(command, sizeof(command), "%s --json " CONTROL " %s 2>>ringsidectl.log",
		 program("RINGSIDECTL"), arguments);
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	result = json_loadf(pipe, JSON_DECODE_ANY, NULL);
	if (pclose(pipe)) {
		json_decref(result);
		return NULL;
	}
	ck_assert_ptr_nonnull(result);
	return result;
}

uint64_t blkd_stat(const char *keys)
{
	json_t *stats = blkd_call("stats"), *at;
	char copy[128], *key, *rest = copy;
	uint64_t value;

	ck_assert_ptr_nonnull(stats);
	snprintf(copy, sizeof(copy), "%s", keys);
	at = json_array_get(json_object_get(stats, "disks"), 0);
	ck_assert_ptr_nonnull(at);
	at = json_array_get(json_object_get(at, "queues"), 0);
	while ((key = strsep(&rest, "/")))
		at = json_object_get(at, key);
	value = (uint64_t)json_integer_value(at);
	json_decref(stats);
	return value;
}
