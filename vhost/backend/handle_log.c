/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_log.c - the dirty log of a migration.
 * Layer L4, control thread. All rings have been taken back already.
 *
 * A migration begins and ends under running rings: SET_LOG_BASE (again when memory grows),
 * SET_FEATURES for VU_F_LOG_ALL, SET_VRING_ADDR for the flag of each ring, in whatever order. What
 * they add up to is looked at when a ring starts, and each of them makes it start anew.
 */
#include <inttypes.h>
#include <string.h>

#include "vhost/backend/session.h"

#define UNUSED __attribute__((unused))

/* There is no message that takes a log back: without VU_F_LOG_ALL it lies unused until the next
 * one, or the session's end. Front-ends wait for the reply, and some for what it echoes. */
int vu_set_log_base(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		    struct vu_msg *reply)
{
	const struct vu_log *log = &msg->payload.log;
	struct mem_dirty next;
	int rc = mem_dirty_map(&next, msg->fds[0], log->mmap_offset, log->mmap_size, s->fault_fd);

	if (rc)
		return vu_refuse(s, rc, "log of 0x%" PRIx64 " bytes at offset 0x%" PRIx64 ": %s",
				 log->mmap_size, log->mmap_offset, mem_map_why(rc));
	mem_dirty_unmap(&s->log);
	s->log = next;
	reply->payload.log = *log;
	reply->hdr.size = sizeof(*log);
	return 0;
}
