/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forbidden_calls.h - system calls that no daemon may make in its sandbox, each tried in a process
 * that has entered the filter of the program under test. The includer defines filter_under_test.
 */
#ifndef RINGSIDE_UNIT_FORBIDDEN_CALLS_H
#define RINGSIDE_UNIT_FORBIDDEN_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/support.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/sandbox.h"
#include "vhost/base/util.h"

extern const struct sandbox_filter filter_under_test;

/* A forbidden call and what is passed with it. */
static const struct attempt {
	const char *name;
	int call;
	long arg[5];
} forbidden[] = {
#define TRY(name, ...)      \
#name, SYS_##name,  \
	{                   \
		__VA_ARGS__ \
	}
	{TRY(open, (long)"/dev/null", O_RDONLY)},
	{TRY(openat, AT_FDCWD, (long)"/dev/null", O_RDONLY)},
	{TRY(openat2, AT_FDCWD, (long)"/dev/null", 0, 24)},
	{TRY(open_by_handle_at, 0, 0, 0)},
	{TRY(creat, (long)"/tmp/ringside-test-x", 0600)},
	{TRY(stat, (long)"/", 0)},
	{TRY(newfstatat, AT_FDCWD, (long)"/", 0, 0)},
	{TRY(newfstatat, 0, (long)"", 0, AT_EMPTY_PATH)},
	{TRY(statx, AT_FDCWD, (long)"/", 0, 0, 0)},
	{TRY(readlink, (long)"/proc/self/exe", 0, 0)},
	{TRY(readlinkat, AT_FDCWD, (long)"/proc/self/exe", 0, 0)},
	{TRY(unlink, (long)"/tmp/ringside-test-x")},
	{TRY(unlinkat, AT_FDCWD, (long)"/tmp/ringside-test-x", 0)},
	{TRY(rename, (long)"/tmp/ringside-test-x", (long)"/tmp/ringside-test-y")},
	{TRY(link, (long)"/tmp/ringside-test-x", (long)"/tmp/ringside-test-y")},
	{TRY(chmod, (long)"/tmp/ringside-test-x", 0)},
	{TRY(chdir, (long)"/")},
	{TRY(chroot, (long)"/")},
	{TRY(mount, 0, 0, 0, 0, 0)},
	{TRY(umount2, (long)"/x", 0)},
	{TRY(socket, AF_UNIX, SOCK_STREAM, 0)},
	{TRY(socketpair, AF_UNIX, SOCK_STREAM, 0, 0)},
	{TRY(connect, -1, 0, 0)},
	{TRY(bind, -1, 0, 0)},
	{TRY(listen, -1, 0)},
	{TRY(setsockopt, -1, 0, 0, 0, 0)},
	{TRY(execve, (long)"/bin/true", 0, 0)},
	{TRY(execveat, AT_FDCWD, (long)"/bin/true", 0, 0, 0)},
	{TRY(fork)},
	{TRY(vfork)},
	{TRY(clone, SIGCHLD, 0, 0, 0, 0)},
	{TRY(clone3, 0, 0)},
	{TRY(ptrace, 0, 0, 0, 0)},
	{TRY(process_vm_readv, 1, 0, 0, 0, 0)},
	{TRY(process_vm_writev, 1, 0, 0, 0, 0)},
	{TRY(pidfd_open, 1, 0)},
	{TRY(pidfd_getfd, -1, 0, 0)},
	{TRY(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1)},
	{TRY(mmap, 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1)},
	{TRY(mprotect, 0, 4096, PROT_READ | PROT_EXEC)},
	{TRY(pkey_mprotect, 0, 4096, PROT_READ | PROT_EXEC, -1)},
	{TRY(kill, 1, 0)},
	{TRY(tkill, 1, 0)},
	{TRY(tgkill, 1, 1, 0)},
	{TRY(rt_sigqueueinfo, 1, 0, 0)},
	{TRY(rt_sigaction, SIGSYS, 0, 0, 8)},
	{TRY(rt_sigaction, SIGTERM, 0, 0, 8)},
	{TRY(io_uring_setup, 1, 0)},
	{TRY(io_uring_register, -1, 0, 0, 0)},
	{TRY(io_uring_register, -1, (long)(1u << 31), 0, 0)},
	{TRY(io_setup, 1, 0)},
	{TRY(bpf, 0, 0, 0)},
	{TRY(perf_event_open, 0, 0, 0, 0, 0)},
	{TRY(userfaultfd, 0)},
	{TRY(keyctl, 0, 0, 0, 0, 0)},
	{TRY(add_key, 0, 0, 0, 0, 0)},
	{TRY(request_key, 0, 0, 0, 0)},
	{TRY(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0)},
	{TRY(prctl, PR_SET_NAME, (long)"x", 0, 0, 0)},
	{TRY(seccomp, 0, 0, 0)},
	{TRY(setuid, 0)},
	{TRY(setgid, 0)},
	{TRY(setresuid, 0, 0, 0)},
	{TRY(setgroups, 0, 0)},
	{TRY(capset, 0, 0)},
	{TRY(unshare, CLONE_NEWUSER)},
	{TRY(setns, -1, 0)},
	{TRY(personality, 0)},
	{TRY(ioctl, 0, TIOCSTI, (long)"x")},
	{TRY(ioctl, 0, TIOCGWINSZ, 0)},
	{TRY(ioctl, 0, BLKDISCARD, 0)},
	{TRY(fcntl, 0, F_SETOWN, 1)},
	{TRY(fcntl, 0, F_OFD_SETLK, 0)},
	{TRY(sched_setaffinity, 1, 0, 0)},
	{TRY(move_pages, 1, 0, 0, 0, 0)},
	{TRY(setrlimit, 0, 0)},
	{TRY(prlimit64, 1, 0, 0, 0)},
	{TRY(shmget, 0, 0, 0)},
	{TRY(shmat, 0, 0, 0)},
	{TRY(msgget, 0, 0)},
	{TRY(memfd_secret, 0)},
	{TRY(quotactl, 0, 0, 0, 0)},
	{TRY(reboot, 0, 0, 0, 0)},
	{TRY(kexec_load, 0, 0, 0, 0)},
	{TRY(init_module, 0, 0, 0)},
	{TRY(finit_module, -1, 0, 0)},
	{TRY(modify_ldt, 0, 0, 0)},
	{TRY(iopl, 0)},
	{TRY(ioperm, 0, 0, 0)},
	{TRY(acct, 0)},
	{TRY(syslog, 0, 0, 0)},
	{TRY(vhangup)},
	{TRY(setsid)},
};

/* allowed_here - in a build that a sanitizer or the like needs more calls for, is this one? */
static bool allowed_here(int call)
{
#ifdef SANDBOX_IS_WIDER
	for (size_t i = 0; i < filter_under_test.num_rules; i++)
		if (filter_under_test.rules[i].call == call &&
		    !filter_under_test.rules[i].num_limits)
			return true;
#endif
	(void)call;
	return false;
}

static void enter(void)
{
	eventfd_prepare();
	if (sandbox_drop_privileges(0) < 0 || sandbox_enter(&filter_under_test) < 0)
		_exit(99);
}

/* outcome - run @fn in a sandboxed process of its own. Return: its status; *@said, what it wrote
 * to stderr. */
static int outcome(void (*fn)(const void *arg), const void *arg, char *said, size_t bytes)
{
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(pipes[1], STDERR_FILENO);
		enter();
		fn(arg);
		_exit(0);
	}
	close(pipes[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	n = read(pipes[0], said, bytes - 1);
	said[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	return status;
}

static void try_it(const void *arg)
{
	const struct attempt *try = arg;

	syscall(try->call, try->arg[0], try->arg[1], try->arg[2], try->arg[3], try->arg[4], 0);
}

START_TEST(a_forbidden_call_ends_the_program_with_a_line)
{
	const struct attempt *try = &forbidden[_i];
	char said[256], name[64];
	int status;

	if (allowed_here(try->call))
		return;
	status = outcome(try_it, try, said, sizeof(said));
	snprintf(name, sizeof(name), "%d (%s) is not allowed", try->call, try->name);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %x, said: %s",
		      try->name, status, said);
	ck_assert_msg(strstr(said, name) && strchr(said, '\n') == said + strlen(said) - 1,
		      "%s: not this one line: %s", try->name, said);
}
END_TEST

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			static const char text[] = "not so: " #condition "\n"; \
			_exit(write(2, text, sizeof(text) - 1) > 0 ? 1 : 2);   \
		}                                                              \
	} while (0)

#endif
