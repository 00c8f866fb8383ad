/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_syscalls.c - the system calls of ringside-net in its sandbox, by the very filter that it
 * enters without --runtime-dpdk-ports: those of a program that has been taken over end it, and
 * DPDK's own go on working. Of the wider filter: it has all of the narrow one, and starts no
 * program.
 */
#define filter_under_test net_syscalls
#include "tests/unit/forbidden_calls.h"

#include <net/if.h>
#include <poll.h>
#include <sys/uio.h>

extern const struct sandbox_filter net_dpdk_syscalls;

static void what_it_does(const void *arg)
{
	const int *fds = arg;
	char bytes[8];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct pollfd poll_fd = {.fd = fds[1], .events = POLLIN};
	struct ifreq request = {.ifr_name = "lo"};

	memset(bytes, 0, sizeof(bytes));
	MUST(writev(fds[1], &iov, 1) == 8);
	MUST(poll(&poll_fd, 1, 0) >= 0);
	MUST(readv(fds[0], &iov, 1) == 8);
	MUST(sendto(fds[1], bytes, 1, MSG_DONTWAIT, NULL, 0) == 1);
	MUST(recvfrom(fds[0], bytes, 8, MSG_DONTWAIT, NULL, NULL) == 1);
	MUST(ioctl(fds[2], SIOCGIFFLAGS, &request) == 0);
}

START_TEST(what_the_daemon_does_still_works)
{
	char said[256];
	int fds[3], status;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fds[2] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	status = outcome(what_it_does, fds, said, sizeof(said));
	ck_assert_msg(status == 0, "status %x: %s", status, said);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}
END_TEST

static bool has(const struct sandbox_filter *filter, int call)
{
	for (size_t i = 0; i < filter->num_rules; i++)
		if (filter->rules[i].call == call)
			return true;
	return false;
}

START_TEST(the_wider_filter_is_wider_and_has_an_end)
{
	static const int never[] = {
		SCMP_SYS(execve),
		SCMP_SYS(execveat),
		SCMP_SYS(ptrace),
		SCMP_SYS(mount),
		SCMP_SYS(process_vm_writev),
		SCMP_SYS(setns),
		SCMP_SYS(unshare),
		SCMP_SYS(init_module),
		SCMP_SYS(io_uring_setup),
		SCMP_SYS(userfaultfd),
		SCMP_SYS(setuid),
		SCMP_SYS(capset),
	};

	for (size_t i = 0; i < net_syscalls.num_rules; i++)
		ck_assert(has(&net_dpdk_syscalls, net_syscalls.rules[i].call));
	ck_assert(has(&net_dpdk_syscalls, SCMP_SYS(openat)));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		ck_assert(!has(&net_dpdk_syscalls, never[i]) || allowed_here(never[i]));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_syscalls");
	TCase *tcase = tcase_create("syscalls");

	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, a_forbidden_call_ends_the_program_with_a_line, 0,
			    ARRAY_SIZE(forbidden));
	tcase_add_test(tcase, what_the_daemon_does_still_works);
	tcase_add_test(tcase, the_wider_filter_is_wider_and_has_an_end);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
