/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_syscalls.c - the system calls of ringside-blk in its sandbox, by the very filter that
 * it enters: those of a program that has been taken over end it with a line that names them, and
 * its own go on working.
 */
#define filter_under_test blk_syscalls
#include "tests/unit/forbidden_calls.h"

#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static void what_it_does(const void *arg)
{
	const int *pair = arg;
	struct epoll_event event = {.events = EPOLLIN};
	uint64_t count = 0, bytes;
	struct timespec now;
	struct stat st;
	cpu_set_t cpus;
	int fd, status;
	void *p;

	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(fd >= 0);
	MUST(write(fd, &(uint64_t){1}, 8) == 8 && read(fd, &count, 8) == 8 && count == 1);
	MUST(eventfd_is(fd) && !eventfd_is(pair[0]));
	eventfd_signal(fd);
	MUST(read(fd, &count, 8) == 8 && count == 1);
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL)) == 0);
	MUST(stat_fd(pair[0], &st) == 0 && S_ISSOCK(st.st_mode));
	MUST(epoll_ctl(pair[2], EPOLL_CTL_ADD, fd, &event) == 0);
	MUST(epoll_wait(pair[2], &event, 1, 0) == 0);
	MUST(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &status, 4, 0) == 1);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED && munmap(p, 1 << 20) == 0);
	p = malloc(8 << 20);
	p = p ? realloc(p, 64 << 20) : NULL;
	MUST(p);
	free(p);
	MUST(ioctl(pair[0], BLKGETSIZE64, &bytes) < 0 && errno == ENOTTY);
	MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	/* What libnuma and affinity.c do for a queue on a host of several nodes. */
	CPU_ZERO(&cpus);
	MUST(syscall(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus) < 0 && errno == EINVAL);
	MUST(syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0) == 0 || errno == ENOSYS);
	MUST(syscall(SYS_set_mempolicy, 0, NULL, 0) == 0 || errno == ENOSYS);
	MUST(syscall(SYS_move_pages, 0, 1, &p, NULL, &status, 0) == 0 || errno != EPERM);
	/* As liburing does at the end: up to 2.3, and from 2.4 on. */
	MUST(syscall(SYS_io_uring_register, -1, IORING_UNREGISTER_RING_FDS, NULL, 1) < 0);
	MUST(syscall(SYS_io_uring_register, -1, IORING_UNREGISTER_RING_FDS | 1u << 31, NULL, 1) <
	     0);
	MUST(close(fd) == 0);
}

START_TEST(what_the_daemon_does_still_works)
{
	char said[256];
	int fds[3], status;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fds[2] = epoll_create1(EPOLL_CLOEXEC);
	status = outcome(what_it_does, fds, said, sizeof(said));
	ck_assert_msg(status == 0, "status %x: %s", status, said);
}
END_TEST

static void fail_an_assertion(const void *arg)
{
	(void)arg;
	abort();
}

START_TEST(an_assertion_ends_it_as_usual)
{
	char said[256];
	int status = outcome(fail_an_assertion, NULL, said, sizeof(said));

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x: %s", status,
		      said);
}
END_TEST

/* A thread that was there before is in the sandbox too. */
static int go[2];

static void *thread_tries(void *arg)
{
	char byte;

	if (read(go[0], &byte, 1) == 1)
		syscall(SYS_kill, 1, 0);
	return arg;
}

START_TEST(every_thread_is_inside)
{
	pthread_t thread;
	int status;
	pid_t pid;

	if (allowed_here(SYS_kill))
		return;
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		if (sandbox_drop_privileges(0) < 0 ||
		    pthread_create(&thread, NULL, thread_tries, NULL) ||
		    sandbox_enter(&filter_under_test) < 0 || write(go[1], "x", 1) != 1)
			_exit(99);
		pthread_join(thread, NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST

/* A blocked signal does not let a thread go on. */
static void block_and_try(const void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	try_it(arg);
}

START_TEST(blocking_the_signal_does_not_help)
{
	char said[256];
	int status;

	if (allowed_here(forbidden[0].call))
		return;
	status = outcome(block_and_try, &forbidden[0], said, sizeof(said));
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_syscalls");
	TCase *tcase = tcase_create("syscalls");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, a_forbidden_call_ends_the_program_with_a_line, 0,
			    ARRAY_SIZE(forbidden));
	tcase_add_test(tcase, what_the_daemon_does_still_works);
	tcase_add_test(tcase, an_assertion_ends_it_as_usual);
	tcase_add_test(tcase, every_thread_is_inside);
	tcase_add_test(tcase, blocking_the_signal_does_not_help);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
