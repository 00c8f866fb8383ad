/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_inflight.c - the in-flight region: made for the front-end, taken from it, given to rings.
 * Layer L4, control thread. Where an area is changed, its ring has been taken back.
 *
 * The region outlives this process, so it is the front-end's: we make a file, pass it, and forget
 * it; what it shows us later is mapped, whoever made it. A ring's place comes from its area as long
 * as there is something in it. GET_VRING_BASE hands the place over to the front-end, and the area
 * begins anew.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/backend/session.h"
#include "vhost/ring/inflight.h"

#define UNUSED __attribute__((unused))

#define AREA_ALIGNMENT 64u /* so that no two queues write the same cache line */

/* area_bytes - room for a queue of @size. The format follows from the features; as long as they
 * are not known, either. */
static uint64_t area_bytes(const struct vu_session *s, unsigned size)
{
	uint64_t bytes = vq_inflight_bytes(vu_is_packed(s), size);

	if (!s->features_set)
		bytes = max_of(bytes, vq_inflight_bytes(true, size));
	return align_up(bytes, AREA_ALIGNMENT);
}

/* make_region - a file of region->mmap_size bytes, which nobody can cut short under another. Its
 * areas of zeroes are those of queues never used.
 * Return: the fd, or -errno. Syscalls: memfd_create, ftruncate, fcntl(cmd=F_ADD_SEALS) */
static int make_region(const struct vu_inflight *region)
{
	auto_close int fd = memfd_create("ringside-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int out;

	if (fd < 0 || ftruncate(fd, (off_t)region->mmap_size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	out = fd;
	fd = -1;
	return out;
}

/* check_ask - can there be a region for what is asked for? Return: NULL, or what is wrong. */
static const char *check_ask(const struct vu_session *s, const struct vu_inflight *ask)
{
	unsigned size = ask->queue_size;

	if (ask->num_queues == 0 || ask->num_queues > s->num_rings)
		return "number of queues";
	if (size == 0 || size > s->dev->max_ring_size)
		return "queue size";
	if (s->features_set && !vu_is_packed(s) && (size & (size - 1)))
		return "queue size, of a split ring";
	return NULL;
}

/* No is said by a region of no bytes: front-ends then go on without one. The reply has the size of
 * the question, since some front-ends leave the padding out. */
int vu_get_inflight_fd(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		       struct vu_msg *reply)
{
	const struct vu_inflight *ask = &msg->payload.inflight;
	struct vu_inflight region = {.num_queues = ask->num_queues, .queue_size = ask->queue_size};
	const char *wrong = check_ask(s, ask);
	int fd = -1;

	if (!wrong) {
		region.mmap_size = area_bytes(s, ask->queue_size) * ask->num_queues;
		fd = make_region(&region);
		if (fd < 0)
			wrong = strerror(-fd);
	}
	if (fd < 0) {
		region.mmap_size = 0;
		log_warn_limited(&s->log_limit, s->dev->name,
				 "GET_INFLIGHT_FD refused: %u queues of %u entries, there are %u "
				 "rings of up to %u: %s",
				 ask->num_queues, ask->queue_size, s->num_rings,
				 s->dev->max_ring_size, wrong);
	} else {
		reply->fds[reply->num_fds++] = fd;
	}
	reply->payload.inflight = region;
	reply->hdr.size = msg->hdr.size;
	return 0;
}

int vu_check_inflight_fd(struct vu_session *s, const struct vu_msg *msg,
			 struct vu_ring *ring UNUSED)
{
	const struct vu_inflight *in = &msg->payload.inflight;
	uint64_t stride, least;

	if (in->num_queues == 0 || in->num_queues > s->num_rings)
		return vu_refuse(s, -EINVAL, "%u queues, expected 1 to %u", in->num_queues,
				 s->num_rings);
	stride = in->mmap_size / in->num_queues;
	if (in->mmap_size % in->num_queues || stride % 8 || in->mmap_offset % 8)
		return vu_refuse(s, -EINVAL,
				 "0x%" PRIx64 " bytes at offset 0x%" PRIx64 " for %u queues, "
				 "expected areas of equal size, each at a multiple of 8",
				 in->mmap_size, in->mmap_offset, in->num_queues);
	least = vq_inflight_bytes(vu_is_packed(s), in->queue_size);
	if (in->queue_size == 0 || stride < least)
		return vu_refuse(s, -EINVAL,
				 "%" PRIu64 " bytes for each queue of %u entries, expected %" PRIu64
				 " or more, and entries",
				 stride, in->queue_size, least);
	return 0;
}

/* Whether an area suits its ring is found out when the ring starts: its size may come later. */
int vu_set_inflight_fd(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		       struct vu_msg *reply UNUSED)
{
	const struct vu_inflight *in = &msg->payload.inflight;
	struct mem_map map;
	int rc = mem_map(&map, msg->fds[0], in->mmap_offset, in->mmap_size, s->fault_fd);

	if (rc)
		return vu_refuse(s, rc, "0x%" PRIx64 " bytes at offset 0x%" PRIx64 ": %s",
				 in->mmap_size, in->mmap_offset, mem_map_why(rc));
	mem_unmap(&s->inflight.map);
	s->inflight = (struct vu_inflight_region){
		.map = map,
		.stride = in->mmap_size / in->num_queues,
		.num_areas = in->num_queues,
	};
	for (unsigned i = 0; i < s->num_rings; i++)
		s->rings[i]->on_area = false;
	return 0;
}

static uint8_t *area_of(const struct vu_ring *ring)
{
	const struct vu_inflight_region *region = &ring->session->inflight;

	if (ring->vq.index >= region->num_areas)
		return NULL;
	return region->map.host + ring->vq.index * region->stride;
}

/* used_bytes - how much of an area a ring can have used, whatever its size and format were: the
 * front-end may have made it as large as it liked. */
static uint64_t used_bytes(const struct vu_session *s)
{
	return min_of(s->inflight.stride, vq_inflight_bytes(true, s->dev->max_ring_size));
}

void vu_inflight_setup(const struct vu_ring *ring, struct vq_setup *setup)
{
	setup->inflight = area_of(ring);
	setup->inflight_bytes = setup->inflight ? ring->session->inflight.stride : 0;
}

/* After the answer: were the area cleared before and this process killed between, neither would know
 * where the ring stands. An area may still hold what a process before left undone, where the ring
 * never ran with it or was found broken before it had served that: it stays. */
void vu_inflight_settle(struct vu_ring *ring)
{
	if (!ring->on_area || ring->vq.num_resubmit)
		return;
	vq_inflight_clear(area_of(ring), used_bytes(ring->session));
	ring->on_area = false;
}

void vu_inflight_reset(struct vu_session *s)
{
	for (unsigned i = 0; i < s->num_rings; i++) {
		if (i < s->inflight.num_areas)
			vq_inflight_clear(area_of(s->rings[i]), used_bytes(s));
		s->rings[i]->on_area = false;
	}
}
