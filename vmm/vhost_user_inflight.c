/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_inflight.c - the in-flight region: where a back-end notes what it has taken, for the next
 * one to find. VMM, main thread with the board lock held.
 *
 * It is the back-end's file, which can do with it what it likes: it is kept and handed on, and never
 * mapped here.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/vhost_user_part.h"

/* More than any back-end needs for an entry, and for what else it notes of a queue. */
#define INFLIGHT_ENTRY_BYTES 64u
#define INFLIGHT_QUEUE_BYTES 65536u

void vhost_user_forget_inflight(struct vhost_user *vu)
{
	vu_close_received(&vu->inflight_fd);
	memset(&vu->inflight, 0, sizeof(vu->inflight));
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vu->rings[i].noted = false; /* the next region knows nothing of them */
}

/* num_backend_rings - up to the last that is a back-end's. */
static unsigned num_backend_rings(const struct vhost_user *vu)
{
	unsigned n = vu->dev.num_queues;

	while (n && vu->kind->is_backend_ring && !vu->kind->is_backend_ring(vu, n - 1))
		n--;
	return n;
}

static void give_inflight(struct vhost_user *vu)
{
	struct vu_msg msg;

	fe_msg_set_inflight(&msg, &vu->inflight, vu->inflight_fd);
	vhost_user_request(vu, &msg);
	vu->prepared = PREPARED;
}

/* fits_inflight - a size that we are ready to clear. */
static bool fits_inflight(const struct vu_inflight *region)
{
	return region->mmap_size / region->num_queues <=
	       INFLIGHT_QUEUE_BYTES + (uint64_t)INFLIGHT_ENTRY_BYTES * region->queue_size;
}

static void on_inflight(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	vu->pending--;
	if (!error)
		error = fe_check_inflight(reply, num_backend_rings(vu), vu->dev.queues[0].max_size);
	if (!error && !fits_inflight(&reply->payload.inflight))
		error = -EPROTO;
	if (error == -EPROTO) {
		fe_pipeline_fail(p, "its reply to GET_INFLIGHT_FD makes no sense");
		return;
	}
	vu->prepared = PREPARED;
	if (error) {
		log_warn_limited(&vu->limit, vu->name,
				 "the back-end has no in-flight region: should "
				 "it end, requests may be lost");
	} else {
		vu->inflight = reply->payload.inflight;
		vu->inflight_fd = vu_msg_take_fd(reply, 0);
		give_inflight(vu);
	}
	vhost_user_act(vu);
}

void vhost_user_prepare_inflight(struct vhost_user *vu)
{
	struct vu_msg msg;

	if (!(vu->backend.protocol & VU_BIT(VU_PF_INFLIGHT_SHMFD)) || !num_backend_rings(vu)) {
		/* It will know nothing of what this back-end takes. */
		vhost_user_forget_inflight(vu);
		vu->prepared = PREPARED;
		return;
	}
	if (vu->inflight_fd >= 0) {
		give_inflight(vu);
		return;
	}
	fe_msg_get_inflight(&msg, num_backend_rings(vu), vu->dev.queues[0].max_size);
	vu->prepared = PREPARED_ASKED;
	vu->pending++;
	fe_pipeline_query(&vu->pipe, &msg, sizeof(msg.payload.inflight), 1, on_inflight, vu);
}

/*
 * The ring begins anew, and its area of the region with it. What cannot be cleared is not used again:
 * a file other than memory may hold us up for as long as its owner likes.
 * Syscalls: pwrite64, fcntl(cmd=F_GET_SEALS): which only memory has
 */
void vhost_user_clear_inflight(struct vhost_user_ring *ring)
{
	static const uint8_t zeroes[4096];
	struct vhost_user *vu = ring->vu;
	uint64_t left, at;
	bool is_memory;

	if (vu->inflight_fd < 0 || ring->index >= vu->inflight.num_queues)
		return;
	left = vu->inflight.mmap_size / vu->inflight.num_queues;
	at = vu->inflight.mmap_offset + ring->index * left;
	is_memory = fcntl(vu->inflight_fd, F_GET_SEALS) >= 0;
	while (is_memory && left) {
		ssize_t n =
			pwrite(vu->inflight_fd, zeroes, min_of(left, sizeof(zeroes)), (off_t)at);

		if (n <= 0)
			break;
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	if (left)
		vhost_user_forget_inflight(vu);
}
