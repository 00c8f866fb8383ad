/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.c - what util.h cannot say inline.
 * Layer L0. Safe from any thread.
 */
#include "vhost/base/util.h"

#include <errno.h>

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
