/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - memory a back-end writes beside the guest's: the in-flight region, the dirty log.
 * Beside L1 (front-end). The thread that owns the session.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"
#include "vhost/frontend/messages.h"

#define EMPTY ((struct fe_inflight){.fd = -1})

/* map_region - map what @got describes of out->fd. A file that ends before the region does would
 * kill us with SIGBUS at the first look. */
static int map_region(const struct vu_inflight *got, struct fe_inflight *out)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t begin = align_down(got->mmap_offset, page_bytes);
	uint64_t end = got->mmap_offset + got->mmap_size;
	struct stat st;
	void *base;

	if (fstat(out->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < end)
		return -EPROTO;
	base = mmap(NULL, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, (off_t)begin);
	if (base == MAP_FAILED)
		return -errno;
	out->map_base = base;
	out->map_bytes = end - begin;
	out->map = (uint8_t *)base + (got->mmap_offset - begin);
	out->mmap_size = got->mmap_size;
	out->mmap_offset = got->mmap_offset;
	out->num_queues = got->num_queues;
	out->queue_size = got->queue_size;
	return 0;
}

int fe_get_inflight(struct fe *fe, unsigned num_queues, unsigned queue_size,
		    struct fe_inflight *out)
{
	struct vu_msg *reply = &fe->rx.msg;
	struct vu_msg msg;
	int ret;

	*out = EMPTY;
	fe_msg_get_inflight(&msg, num_queues, queue_size);
	ret = fe_query(fe, &msg, sizeof(msg.payload.inflight), 1);
	if (!ret)
		ret = fe_check_inflight(reply, num_queues, queue_size);
	if (ret)
		return ret;
	out->fd = vu_msg_take_fd(reply, 0);
	ret = map_region(&reply->payload.inflight, out);
	if (ret)
		fe_inflight_free(out);
	return ret;
}

int fe_set_inflight(struct fe *fe, const struct fe_inflight *inflight)
{
	struct vu_inflight region = {
		.mmap_size = inflight->mmap_size,
		.mmap_offset = inflight->mmap_offset,
		.num_queues = inflight->num_queues,
		.queue_size = inflight->queue_size,
	};
	struct vu_msg msg;

	fe_msg_set_inflight(&msg, &region, inflight->fd);
	return fe_request(fe, &msg);
}

void fe_inflight_free(struct fe_inflight *inflight)
{
	if (inflight->map_base)
		munmap(inflight->map_base, inflight->map_bytes);
	close_fd(&inflight->fd);
	*inflight = EMPTY;
}

int fe_set_log_base(struct fe *fe, int fd, uint64_t size, uint64_t offset)
{
	struct vu_log log = {.mmap_size = size, .mmap_offset = offset};
	struct vu_msg msg;
	int ret;

	fe_msg_fd(&msg, VU_SET_LOG_BASE, fd);
	msg.hdr.size = sizeof(log);
	msg.payload.log = log;
	ret = fe_query(fe, &msg, sizeof(log), 0);
	if (ret)
		return ret;
	return memcmp(&fe->rx.msg.payload.log, &log, sizeof(log)) ? -EPROTO : 0;
}

int fe_set_log_fd(struct fe *fe, int fd)
{
	struct vu_msg msg;

	fe_msg_fd(&msg, VU_SET_LOG_FD, fd);
	return fe_request(fe, &msg);
}
