/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * startup.c - see startup.h. Layer L0. Main thread.
 */
#include "vhost/base/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vhost/base/log.h"

void startup_fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			fatal("fd %d is closed, and /dev/null cannot take its place", fd);
}

void startup_allow_many_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("startup", "RLIMIT_NOFILE stays: %s", strerror(errno));
}
