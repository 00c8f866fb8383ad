/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox.c - see sandbox.h. Layer L0; the thread that starts the others, and the handler on
 * whichever makes a forbidden call.
 *
 * What the C library does by itself, for every program here:
 * Syscalls: brk, munmap, mremap, madvise: memory; mmap(prot!PROT_EXEC);
 *	futex: locks, and joining a thread; exit, exit_group; close;
 *	rt_sigreturn, rt_sigprocmask, restart_syscall: signals;
 *	clock_gettime: where the clock cannot be read without the kernel;
 *	getpid, gettid, tgkill(tgid=self), writev(fd=2): a failed assertion
 *
 * The sanitizers read /proc/self/maps for a report; for leaks a thread of their own stops the
 * others by ptrace(2); clang's has its symbols from another program.
 * Syscalls (sanitizer): open, openat, read, lseek, pread64, readlink, readlinkat, getdents,
 *	getdents64, access, faccessat2, stat, lstat, fstat, newfstatat, statfs, ioctl, fcntl,
 *	getcwd, uname, sysinfo,
 *	mmap, munmap, mremap, mprotect, madvise, brk, mincore, process_vm_readv,
 *	clone, clone3, vfork, fork, execve, wait4, ptrace, prctl, arch_prctl, personality,
 *	set_tid_address, set_robust_list, rseq, prlimit64, getrlimit, getrusage, getrandom,
 *	pipe, pipe2, dup, dup2, dup3, poll, write, writev, socketpair, sendmsg, recvmsg,
 *	sigaltstack, rt_sigaction, rt_sigprocmask, rt_sigreturn, tgkill, kill, getpid, gettid,
 *	getppid, getuid, geteuid, getgid, getegid, sched_yield, sched_getaffinity, nanosleep,
 *	clock_nanosleep, clock_gettime, gettimeofday, futex, exit, exit_group, close,
 *	close_range, restart_syscall, membarrier
 *
 * A program built to tell which of its lines were run writes that into files at its end.
 * Syscalls (coverage): open, openat, read, write, lseek, fcntl, flock, newfstatat, mkdir,
 *	getcwd, uname, mmap, munmap, msync, ftruncate, unlink, umask, readlink, getpid, close
 */
#include "vhost/base/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vhost/base/util.h"

#define MAX_CALLS  512
#define NAME_BYTES 24

/* For the handler, which may not allocate. */
static char names[MAX_CALLS][NAME_BYTES];

static void collect_names(void)
{
	for (int call = 0; call < MAX_CALLS; call++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

		if (name)
			memccpy(names[call], name, '\0', NAME_BYTES - 1);
		free(name);
	}
}

/* append - @text behind the @used bytes of @line. Return: bytes used then. */
static size_t append(char *line, size_t bytes, size_t used, const char *text)
{
	while (*text && used < bytes)
		line[used++] = *text++;
	return used;
}

/*
 * on_forbidden - say which call it was, and die.
 *
 * The filter's answer to a forbidden call is a signal (SCMP_ACT_TRAP) rather than the plain death
 * of SCMP_ACT_KILL_PROCESS, which tells the operator nothing: whether the kernel's audit line comes
 * depends on the host. The call has not been made when we get here. Whoever has taken this thread
 * over gains nothing: the filter lets nobody set another handler, and where the signal is blocked
 * the kernel kills all the same. Nor could an error number (SCMP_ACT_ERRNO) do: the attack would
 * go on, and a call of ours that was forgotten would fail in silence.
 */
static void on_forbidden(int signal_number, siginfo_t *info, void *context)
{
	unsigned call = (unsigned)info->si_syscall;
	char line[160], digits[11] = "";
	unsigned at = sizeof(digits) - 1, rest = call;
	size_t used;

	(void)context;
	do
		digits[--at] = (char)('0' + rest % 10);
	while ((rest /= 10) != 0);
	used = append(line, sizeof(line), 0, "error sandbox: system call ");
	used = append(line, sizeof(line), used, digits + at);
	if (call < MAX_CALLS && names[call][0]) {
		used = append(line, sizeof(line), used, " (");
		used = append(line, sizeof(line), used, names[call]);
		used = append(line, sizeof(line), used, ")");
	}
	used = append(line, sizeof(line), used,
		      " is not allowed; a bug or an attack, please report it\n");
	if (write(STDERR_FILENO, line, used) < 0)
		raise(signal_number); /* nobody is left to tell */
	/* SA_RESETHAND has put the default back: this ends the process. */
	raise(signal_number);
	_exit(1);
}

static int catch_forbidden(void)
{
	struct sigaction action = {
		.sa_sigaction = on_forbidden,
		.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER,
	};

	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

int sandbox_drop_privileges(uint64_t keep)
{
	uint64_t had = 0;

	/* A second heap, which a thread gets when it finds the first one locked, reads
	 * /proc/sys/vm/overcommit_memory when it shrinks. Nothing on a data path allocates. */
	mallopt(M_ARENA_MAX, 1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			had |= 1ull << cap;
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (had & keep & 1ull << cap)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
	/* The bounding set only as far as it may be changed: nothing will be executed. */
	return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

static int add_rule(scmp_filter_ctx filter, const struct sandbox_rule *rule)
{
	struct scmp_arg_cmp limits[SANDBOX_MAX_LIMITS];

	for (unsigned i = 0; i < rule->num_limits; i++) {
		const struct sandbox_limit *limit = &rule->limits[i];

		limits[i] = (struct scmp_arg_cmp){
			.arg = limit->argument,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = limit->mask,
			.datum_b = limit->self ? (uint64_t)getpid() : limit->value,
		};
	}
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, rule->num_limits, limits);
}

static int enter(const struct sandbox_filter *filter, bool all_threads)
{
	static pthread_once_t names_once = PTHREAD_ONCE_INIT;
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_TRAP);
	int ret;

	if (!context)
		return -ENOMEM;
	/* Calls of another architecture have other numbers, which no line could name. */
	ret = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (ret == 0 && all_threads)
		ret = seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
	for (size_t i = 0; ret == 0 && i < filter->num_rules; i++)
		ret = add_rule(context, &filter->rules[i]);
	if (ret == 0) {
		pthread_once(&names_once, collect_names);
		ret = catch_forbidden();
	}
	if (ret == 0)
		ret = seccomp_load(context);
	seccomp_release(context);
	return ret;
}

int sandbox_enter(const struct sandbox_filter *filter)
{
	return enter(filter, true);
}

int sandbox_enter_thread(const struct sandbox_filter *filter)
{
	return enter(filter, false);
}
