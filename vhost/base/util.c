/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.c - what util.h cannot say inline.
 * Layer L0. Safe from any thread.
 */
#include "vhost/base/util.h"

#include <errno.h>
#include <sys/syscall.h>

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* Syscalls: fstat */
int stat_fd(int fd, struct stat *st)
{
#ifdef __x86_64__
	/* Here what the kernel fills in is what the C library calls struct stat. */
	return (int)syscall(SYS_fstat, fd, st);
#else
	return fstat(fd, st);
#endif
}
