/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue.c - set-up of a virtqueue, and the paths that are rare: broken rings, bad chains,
 * buffers over several regions. Layer L3. Set-up runs on the control thread, the rest on the
 * queue's.
 */
#include "vhost/ring/virtqueue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/eventfd.h"

static const char *const chain_error_names[] = {
	[VQ_CHAIN_OK] = "ok",
	[VQ_CHAIN_UNMAPPED] = "unmapped address",
	[VQ_CHAIN_LOOP] = "descriptor loop",
	[VQ_CHAIN_TOO_LONG] = "too many buffers",
	[VQ_CHAIN_ORDER] = "readable after writable",
	[VQ_CHAIN_INDIRECT] = "bad indirect table",
};
static_assert(ARRAY_SIZE(chain_error_names) == VQ_CHAIN_ERRORS, "a name for every chain error");

const char *vq_chain_error_name(enum vq_chain_error error)
{
	return error < VQ_CHAIN_ERRORS ? chain_error_names[error] : "unknown";
}

int vq_init(struct virtqueue *vq, const char *device, unsigned index, unsigned max_size)
{
	memset(vq, 0, sizeof(*vq));
	vq->in_flight = calloc(max_size, sizeof(vq->in_flight[0]));
	if (!vq->in_flight)
		return -ENOMEM;
	vq->index = index;
	vq->call_fd = vq->kick_fd = vq->err_fd = -1;
	snprintf(vq->name, sizeof(vq->name), "%.20s/q%u", device, index);
	return 0;
}

void vq_free(struct virtqueue *vq)
{
	track_detach(vq);
	free(vq->in_flight);
	vq->in_flight = NULL;
}

static bool misaligned(const void *p, uintptr_t alignment)
{
	return ((uintptr_t)p & (alignment - 1)) != 0;
}

static bool power_of_two(unsigned n)
{
	return (n & (n - 1)) == 0;
}

static int check_setup(const struct vq_setup *setup)
{
	bool packed = setup->packed;

	if (!setup->size || setup->size > VU_MAX_RING_SIZE)
		return -EINVAL;
	if (!packed && !power_of_two(setup->size))
		return -EINVAL;
	if (misaligned(setup->desc, 16) || misaligned(setup->avail, packed ? 4 : 2) ||
	    misaligned(setup->used, 4))
		return -EINVAL;
	return 0;
}

/*
 * Split: what was used stands in the used ring itself. Where chains are used in the order they were
 * taken in, and nobody keeps track of those in flight, it is also where to go on: a front-end whose
 * back-end was killed knows no base, and DPDK's virtio_user sends 0.
 */
static int set_split_base(struct virtqueue *vq, const struct vq_setup *setup)
{
	bool from_used = setup->uses_in_order && !setup->inflight;

	if (setup->base > UINT16_MAX)
		return -EINVAL;
	vq->next_used = guest_load16(&vq->used->idx);
	vq->next_avail = from_used ? vq->next_used : (uint16_t)setup->base;
	vq->avail_idx = vq->next_avail;
	vq->published = vq->signalled = vq->next_used;
	return 0;
}

/* Packed: the used position is never behind by more than the ring, nor ahead. */
static int set_packed_base(struct virtqueue *vq, uint32_t base)
{
	uint16_t avail = (uint16_t)base;
	uint16_t used = base >> 16 ? (uint16_t)(base >> 16) : avail;
	int held;

	vq->avail_wrap = avail & PACKED_WRAP;
	vq->next_avail = avail & (uint16_t)~PACKED_WRAP;
	vq->used_wrap = used & PACKED_WRAP;
	vq->next_used = used & (uint16_t)~PACKED_WRAP;
	vq->unsignalled = 0;
	vq->staged = false;
	if (vq->next_avail >= vq->size || vq->next_used >= vq->size)
		return -EINVAL;
	held = vq->next_avail - vq->next_used + (vq->avail_wrap == vq->used_wrap ? 0 : vq->size);
	if (held < 0 || held > vq->size)
		return -EINVAL;
	vq->room = (uint16_t)(vq->size - held);
	return 0;
}

int vq_attach(struct virtqueue *vq, const struct vq_setup *setup)
{
	int rc = check_setup(setup);

	vq->refused = "size, alignment or base";
	if (rc)
		return rc;
	track_detach(vq);
	vq->packed = setup->packed;
	vq->desc = setup->desc;
	vq->avail = setup->avail;
	vq->used = setup->used;
	vq->mem = setup->mem;
	vq->size = setup->size;
	vq->mask = (uint16_t)(setup->size - 1);
	vq->features = setup->features;
	vq->event_idx = setup->features & (1ull << VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = setup->features & (1ull << VIRTIO_RING_F_INDIRECT_DESC);
	vq->kick_fd = setup->kick_fd;
	vq->call_fd = setup->call_fd;
	vq->err_fd = setup->err_fd;
	vq->kicks_wanted = true;
	vq->cache = (struct mem_cache){0};
	memset(vq->in_flight, 0, vq->size * sizeof(vq->in_flight[0]));
	vq->num_resubmit = 0;
	vq->recovered = false;
	rc = vq->packed ? set_packed_base(vq, setup->base) : set_split_base(vq, setup);
	rc = track_attach(vq, setup, rc);
	vq->in_order = setup->features & (1ull << VIRTIO_F_IN_ORDER) && !vq->track;
	if (rc)
		vq_detach(vq);
	return rc;
}

void vq_detach(struct virtqueue *vq)
{
	track_detach(vq);
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	vq->mem = NULL;
	vq->kick_fd = vq->call_fd = vq->err_fd = -1;
}

uint32_t vq_base(const struct virtqueue *vq)
{
	uint32_t avail = packed_position(vq->next_avail, vq->avail_wrap);
	uint32_t used = packed_position(vq->next_used, vq->used_wrap);

	return vq->packed ? avail | used << 16 : vq->next_avail;
}

void vq_signal(struct virtqueue *vq)
{
	vq_count_add(&vq->count.calls, 1);
	eventfd_signal(vq->call_fd);
}

void vq_break(struct virtqueue *vq, const char *what, unsigned got, unsigned expected)
{
	vq->broken = true;
	vq->avail_idx = vq->next_avail;
	vq_count_add(&vq->count.ring_errors, 1);
	eventfd_signal(vq->err_fd);
	log_warn_limited(&vq->log_limit, vq->name,
			 "%s: got %u, queue size %u; the ring stops until it is set up anew", what,
			 got, expected);
}

int vq_add_slow(struct virtqueue *vq, const struct vq_desc *desc, struct iovec *iov, unsigned max)
{
	if (!desc->len)
		return 0;
	return mem_iov(vq->mem, &vq->cache, desc->gpa, desc->len, iov, max);
}

void vq_chain_fail(struct virtqueue *vq, struct vq_chain *chain, enum vq_chain_error error,
		   const struct vq_desc *last)
{
	chain->num_out = chain->num_in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->error = (uint8_t)error;
	chain->last_byte = NULL;
	if (last &&
	    (last->flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) == VRING_DESC_F_WRITE &&
	    last->len && last->gpa <= UINT64_MAX - (last->len - 1))
		chain->last_byte = mem_at(vq->mem, &vq->cache, last->gpa + last->len - 1, 1);
	vq_count_add(&vq->count.bad_chains[chain->error], 1);
	log_warn_limited(&vq->log_limit, vq->name, "chain at head %u refused: %s", chain->head,
			 vq_chain_error_name(chain->error));
}
