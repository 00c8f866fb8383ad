/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_syscalls.c - the system calls of ringside-balloon in its sandbox, by the very filter
 * that it enters: those of a program that has been taken over end it, and its own go on working.
 */
#define filter_under_test balloon_syscalls
#include "tests/unit/forbidden_calls.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* What ringside-blk may do, and a balloon has no use for. */
static const struct attempt forbidden_here[] = {
	{TRY(fdatasync, 0)},
	{TRY(io_uring_enter, -1, 0, 0, 0)},
	{TRY(pwritev2, -1, 0, 0, 0, 0)},
};

START_TEST(a_call_of_other_daemons_ends_it)
{
	char said[256];
	int status;

	if (allowed_here(forbidden_here[_i].call))
		return;
	status = outcome(try_it, &forbidden_here[_i], said, sizeof(said));
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %x, said: %s",
		      forbidden_here[_i].name, status, said);
}
END_TEST

static void what_it_does(const void *arg)
{
	const int *fds = arg;
	char meminfo[64];

	MUST(fallocate(fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
	MUST(pread(fds[1], meminfo, sizeof(meminfo), 0) > 0);
	MUST(pwrite(fds[0], "x", 1, 0) == 1);
}

START_TEST(what_the_daemon_does_still_works)
{
	char said[256];
	int fds[2], status;

	fds[0] = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fds[0], 8192), 0);
	fds[1] = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	status = outcome(what_it_does, fds, said, sizeof(said));
	ck_assert_msg(status == 0, "status %x: %s", status, said);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_syscalls");
	TCase *tcase = tcase_create("syscalls");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, a_forbidden_call_ends_the_program_with_a_line, 0,
			    ARRAY_SIZE(forbidden));
	tcase_add_loop_test(tcase, a_call_of_other_daemons_ends_it, 0, ARRAY_SIZE(forbidden_here));
	tcase_add_test(tcase, what_the_daemon_does_still_works);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
