/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * discard.c - see discard.h. Layer L5, control thread.
 */
#include "balloon/discard.h"

#include <errno.h>
#include <fcntl.h>

/* Syscalls: fallocate */
int bal_discard(const struct bal_run *run)
{
	const struct mem_region *region = run->region;
	int ret;

	do {
		ret = fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(region->file_offset + run->offset), (off_t)run->bytes);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}
