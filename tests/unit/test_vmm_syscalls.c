/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_syscalls.c - the two system call filters of ringside-vmm: what a guest that has taken a
 * thread over would want is in neither, a vCPU's is the shorter one, and each holds its thread only.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/support.h"
#include "vhost/base/sandbox.h"
#include "vhost/base/util.h"

extern const struct sandbox_filter vmm_syscalls, vcpu_syscalls;

/* What either thread must not do. */
static const struct attempt {
	const char *name;
	int call;
	long arg[4];
} forbidden[] = {
#define TRY(name, ...)              \
	{                           \
#name, SYS_##name,  \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
	TRY(open, (long)"/dev/null", O_RDONLY),
	TRY(openat, AT_FDCWD, (long)"/dev/null", O_RDONLY),
	TRY(execve, (long)"/bin/true", 0, 0),
	TRY(execveat, AT_FDCWD, (long)"/bin/true", 0, 0),
	TRY(fork, 0),
	TRY(vfork, 0),
	TRY(socket, AF_UNIX, SOCK_STREAM, 0),
	TRY(connect, 0, 0, 0),
	TRY(ptrace, 0, 0, 0, 0),
	TRY(process_vm_writev, 0, 0, 0, 0),
	TRY(kill, 1, 0),
	TRY(mprotect, 0, 0, 0),
	TRY(unlink, (long)"/tmp/ringside-test-x"),
	TRY(bpf, 0, 0, 0),
	TRY(io_uring_setup, 1, 0),
	TRY(memfd_create, (long)"x", 0),
	TRY(ioctl, 0, TIOCSTI, (long)"x"),
	TRY(ioctl, 0, KVM_CREATE_VCPU, 0),
	TRY(ioctl, 0, KVM_SET_USER_MEMORY_REGION, 0),
#undef TRY
};

/* What the main thread needs and a vCPU's does not. */
static const struct attempt main_only[] = {
	{"recvmsg", SYS_recvmsg, {-1, 0, 0}},
	{"sendmsg", SYS_sendmsg, {-1, 0, 0}},
	{"epoll_wait", SYS_epoll_wait, {-1, 0, 0, 0}},
	{"pread64", SYS_pread64, {-1, 0, 0, 0}},
};

static bool allowed_here(const struct sandbox_filter *filter, int call)
{
#ifdef SANDBOX_IS_WIDER
	for (size_t i = 0; i < filter->num_rules; i++)
		if (filter->rules[i].call == call && !filter->rules[i].num_limits)
			return true;
#endif
	(void)filter;
	(void)call;
	return false;
}

/* outcome_of - make the call in a process that has entered @filter. Return: its status. */
static int outcome_of(const struct sandbox_filter *filter, const struct attempt *try)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (sandbox_drop_privileges(0) < 0 || sandbox_enter_thread(filter) < 0)
			_exit(99);
		syscall(try->call, try->arg[0], try->arg[1], try->arg[2], try->arg[3], 0, 0);
		syscall(SYS_exit_group, 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool was_stopped(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

START_TEST(a_forbidden_call_ends_either_thread)
{
	const struct sandbox_filter *filters[] = {&vmm_syscalls, &vcpu_syscalls};
	const struct attempt *try = &forbidden[_i];

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (!allowed_here(filters[i], try->call))
			ck_assert_msg(was_stopped(outcome_of(filters[i], try)), "%s, filter %zu",
				      try->name, i);
}
END_TEST

START_TEST(a_vcpu_may_less_than_the_main_thread)
{
	const struct attempt *try = &main_only[_i];

	ck_assert_msg(!was_stopped(outcome_of(&vmm_syscalls, try)), "%s", try->name);
	if (!allowed_here(&vcpu_syscalls, try->call))
		ck_assert_msg(was_stopped(outcome_of(&vcpu_syscalls, try)), "%s", try->name);
}
END_TEST

START_TEST(a_vcpu_may_run_its_guest)
{
	const struct attempt run = {"ioctl", SYS_ioctl, {-1, KVM_RUN, 0}};

	ck_assert(!was_stopped(outcome_of(&vcpu_syscalls, &run)));
	if (!allowed_here(&vmm_syscalls, SYS_ioctl))
		ck_assert(was_stopped(outcome_of(&vmm_syscalls, &run)));
}
END_TEST

static void *enter_alone(void *arg)
{
	return (void *)(long)sandbox_enter_thread(arg);
}

START_TEST(a_filter_holds_the_thread_that_entered_it_only)
{
	pthread_t thread;
	int status, fd;
	void *ret;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (sandbox_drop_privileges(0) < 0 ||
		    pthread_create(&thread, NULL, enter_alone, (void *)&vcpu_syscalls) ||
		    pthread_join(thread, &ret) || ret)
			_exit(99);
		fd = open("/dev/null", O_RDONLY);
		_exit(fd < 0 ? 98 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_syscalls");
	TCase *tcase = tcase_create("syscalls");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, a_forbidden_call_ends_either_thread, 0, ARRAY_SIZE(forbidden));
	tcase_add_loop_test(tcase, a_vcpu_may_less_than_the_main_thread, 0, ARRAY_SIZE(main_only));
	tcase_add_test(tcase, a_vcpu_may_run_its_guest);
	tcase_add_test(tcase, a_filter_holds_the_thread_that_entered_it_only);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
