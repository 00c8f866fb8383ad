/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * deny_syscall.c - run a program on a kernel that refuses one system call:
 *     deny_syscall NAME ERRNO PROGRAM [ARGUMENT]...
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int number, error;

	if (argc < 4 || !filter) {
		fprintf(stderr, "usage: deny_syscall NAME ERRNO PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	number = seccomp_syscall_resolve_name(argv[1]);
	error = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)atoi(argv[2])), number, 0);
	if (!error)
		error = seccomp_load(filter);
	if (error) {
		fprintf(stderr, "deny_syscall: %s: %s\n", argv[1], strerror(-error));
		return 2;
	}
	execv(argv[3], argv + 3);
	fprintf(stderr, "deny_syscall: %s: %s\n", argv[3], strerror(errno));
	return 2;
}
