/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox.h - give up what a daemon does not need once it serves: privileges, then system calls.
 * Layer L0. Called by main(), in this order, on the thread that starts the others.
 *
 * What a system call is for stands beside the code that makes it, in the comment of the function:
 *
 *     Syscalls: epoll_ctl, dup3: the new file behind the old number; mmap(prot!PROT_EXEC)
 *     Syscalls (broker): connect, socket(family=AF_UNIX)
 *
 * It is a list of calls, as the kernel names them (fcntl, newfstatat, sendto, not send), each
 * perhaps with limits on its arguments, which the manual page names: (arg=A|B) one of these values,
 * (arg!A|B) none of these bits, (arg=self) the process itself; several limits are separated by
 * commas. A reason may follow behind a colon, up to a semicolon or the end of the line. A line
 * that ends in a comma or semicolon is continued on the next. Only calls made after sandbox_enter()
 * belong there. A call may be named in several places; their limits add up, but a call without
 * limits in one place must have none anywhere. A word in parentheses names a filter other than
 * the daemon's own, or what a sanitizer needs.
 *
 * vhost/base/make-syscall-filter reads these lines and writes the table that sandbox_enter()
 * takes; blk/meson.build shows how it is run.
 *
 * fstat(2) of the C library may be newfstatat(2), which names files by path, and no daemon may do
 * that: use stat_fd() of util.h.
 */
#ifndef RINGSIDE_BASE_SANDBOX_H
#define RINGSIDE_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SANDBOX_MAX_LIMITS 3

/* An argument masked with @mask must be @value; or, if @self, our process id. */
struct sandbox_limit {
	unsigned argument; /* counted from 0 */
	bool self;
	uint64_t mask;
	uint64_t value;
};

struct sandbox_rule {
	int call; /* as SCMP_SYS() says */
	unsigned num_limits; /* all must hold */
	struct sandbox_limit limits[SANDBOX_MAX_LIMITS];
};

/* What is allowed: made by make-syscall-filter. */
struct sandbox_filter {
	const struct sandbox_rule *rules;
	size_t num_rules;
};

/*
 * sandbox_drop_privileges - no capability is left, but those of @keep (1 << CAP_...) that were
 * there, and no program can give one back. Capabilities are a thread's own, so this comes before
 * the first thread, or is followed by sandbox_drop_in_threads(). Return: 0 or -errno.
 */
int sandbox_drop_privileges(uint64_t keep);

/*
 * sandbox_drop_in_threads - no thread but the caller's has a capability any more, whoever started
 * it. Each drops its own in a handler of SIGRTMAX, and what the kernel then says of each is
 * looked at.
 * Return: 0, -ETIMEDOUT: one of them has blocked the signal, or -errno of opening /proc/self/task.
 */
int sandbox_drop_in_threads(void);

/*
 * sandbox_enter - from here on every thread of the process makes only the calls of @filter. Another
 * one ends the process with a line on stderr. Privileges must have been dropped; every thread is
 * there already. Return: 0, or -errno when the kernel has no seccomp.
 */
int sandbox_enter(const struct sandbox_filter *filter);

/* sandbox_enter_thread - the same for the calling thread alone, and for those it starts. */
int sandbox_enter_thread(const struct sandbox_filter *filter);

#endif
