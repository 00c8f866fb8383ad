/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - the driver's ring: laying it out, its state, sleeping.
 * Beside L1 (front-end). The thread that drives the ring; what runs for each request is inline.
 */
#include "vhost/frontend/ring.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"

/* Rings lie two lines apart: the prefetcher of many CPUs fetches lines in pairs. */
#define RING_ALIGN (2 * CACHELINE_BYTES)

static void ring_zero_indices(struct fe_ring *ring)
{
	ring->staged = ring->published = ring->kicked = 0;
	ring->last_used = ring->used_idx = 0;
	ring->avail_slot = ring->used_slot = 0;
	ring->avail_wrap = FE_PACKED_WRAP;
	ring->avail_bits = fe_packed_bits(FE_PACKED_AVAIL); /* both wrap counters begin at 1 */
	ring->used_bits = FE_PACKED_BITS;
	ring->shown_position = FE_PACKED_WRAP;
	ring->unkicked = 0;
	ring->batch = 0;
	ring->broken = false;
	ring->slow_poll = ring->kind & FE_IN_ORDER;
	ring->why = NULL;
}

static int alloc_split(struct fe_ring *ring, struct fe_memory *mem)
{
	struct fe_mem desc, avail, used;

	/* The event words stand behind the entries of either ring (virtio 2.7.6, 2.7.8). */
	if (fe_alloc(mem, ring->size * sizeof(struct vring_desc), RING_ALIGN, &desc) ||
	    fe_alloc(mem, sizeof(struct vring_avail) + (ring->size + 1u) * sizeof(uint16_t),
		     RING_ALIGN, &avail) ||
	    fe_alloc(mem,
		     sizeof(struct vring_used) + ring->size * sizeof(struct vring_used_elem) +
			     sizeof(uint16_t),
		     RING_ALIGN, &used))
		return -ENOSPC;
	ring->table = (struct vring_desc *)desc.host;
	ring->avail = (struct vring_avail *)avail.host;
	ring->used = (struct vring_used *)used.host;
	ring->used_event = &ring->avail->ring[ring->size];
	ring->avail_event = (uint16_t *)&ring->used->ring[ring->size];
	return 0;
}

static int alloc_packed(struct fe_ring *ring, struct fe_memory *mem)
{
	struct fe_mem slots, driver, device;

	/* Each side writes its own event area: they are kept as far apart as the rings. */
	if (fe_alloc(mem, ring->size * sizeof(*ring->slots), RING_ALIGN, &slots) ||
	    fe_alloc(mem, RING_ALIGN, RING_ALIGN, &driver) ||
	    fe_alloc(mem, RING_ALIGN, RING_ALIGN, &device))
		return -ENOSPC;
	ring->slots = (struct vring_packed_desc *)slots.host;
	ring->driver_event = (struct vring_packed_desc_event *)driver.host;
	ring->device_event = (struct vring_packed_desc_event *)device.host;
	return 0;
}

static int alloc_tables(struct fe_ring *ring, struct fe_memory *mem)
{
	uint64_t table_bytes = (uint64_t)ring->indirect_entries * sizeof(struct vring_desc);
	struct fe_mem tables;

	if (!table_bytes)
		return 0;
	if (fe_alloc(mem, ring->size * table_bytes, RING_ALIGN, &tables))
		return -ENOSPC;
	ring->indirect = (struct vring_desc *)tables.host;
	ring->indirect_gpa = tables.gpa;
	return 0;
}

/* Memory of our own. A ring that is filled in order is filled from there. */
static int alloc_private(struct fe_ring *ring)
{
	unsigned flights = 1;

	ring->desc = ring->kind ? calloc(ring->size, sizeof(*ring->desc)) : ring->table;
	while (flights < ring->size)
		flights *= 2;
	ring->flight_mask = (uint16_t)(flights - 1);
	if (ring->kind & FE_IN_ORDER)
		ring->flights = calloc(flights, sizeof(*ring->flights));
	ring->chains = calloc(ring->size, sizeof(*ring->chains));
	ring->links = calloc(ring->size, sizeof(*ring->links));
	ring->free_descs = calloc(ring->size, sizeof(*ring->free_descs));
	if (!ring->desc || !ring->chains || !ring->links || !ring->free_descs ||
	    ((ring->kind & FE_IN_ORDER) && !ring->flights))
		return -ENOMEM;
	return 0;
}

static int ring_open_fds(struct fe_ring *ring)
{
	int *fds[] = {&ring->kick_fd, &ring->call_fd, &ring->err_fd};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		*fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (*fds[i] < 0)
			return -errno;
	}
	return 0;
}

int fe_ring_init(struct fe_ring *ring, struct fe_memory *mem, const struct fe_ring_options *options)
{
	unsigned i;
	int ret;

	memset(ring, 0, sizeof(*ring));
	ring->kick_fd = ring->call_fd = ring->err_fd = -1;
	if (!options->size || options->size > VU_MAX_RING_SIZE ||
	    (!options->packed && (options->size & (options->size - 1))))
		return -EINVAL;
	ring->size = options->size;
	ring->mask = options->size - 1u;
	ring->packed = options->packed;
	ring->kind = (uint8_t)((options->packed ? FE_PACKED : 0) |
			       (options->in_order ? FE_IN_ORDER : 0));
	ring->fast_end = options->in_order ? 0 : options->size;
	ring->event_idx = options->event_idx;
	ring->indirect_entries = options->indirect;

	ret = ring->packed ? alloc_packed(ring, mem) : alloc_split(ring, mem);
	if (!ret)
		ret = alloc_tables(ring, mem);
	if (!ret)
		ret = alloc_private(ring);
	if (!ret)
		ret = ring_open_fds(ring);
	if (ret)
		goto fail;
	/* The lowest on top, so that a chain's descriptors share cache lines. */
	for (i = 0; i < ring->size; i++)
		ring->free_descs[i] = (uint16_t)(ring->size - 1 - i);
	ring->num_free = ring->size;
	fe_ring_reset(ring);
	return 0;
fail:
	fe_ring_free(ring);
	return ret;
}

void fe_ring_free(struct fe_ring *ring)
{
	close_fd(&ring->kick_fd);
	close_fd(&ring->call_fd);
	close_fd(&ring->err_fd);
	if (ring->kind)
		free(ring->desc);
	free(ring->chains);
	free(ring->links);
	free(ring->free_descs);
	free(ring->flights);
	ring->desc = NULL;
	ring->chains = NULL;
	ring->links = ring->free_descs = ring->flights = NULL;
}

void fe_ring_reset(struct fe_ring *ring)
{
	unsigned i;

	for (i = 0; i < ring->size; i++) {
		if (fe_ring_flies(&ring->chains[i]))
			fe_ring_land(ring, &ring->chains[i]);
	}
	ring_zero_indices(ring);
	if (ring->packed) {
		memset(ring->slots, 0, ring->size * sizeof(*ring->slots));
		memset(ring->device_event, 0, sizeof(*ring->device_event));
	} else {
		ring->avail->flags = ring->avail->idx = 0;
		ring->used->flags = ring->used->idx = 0;
		*ring->avail_event = 0;
	}
	fe_ring_interrupts_off(ring);
}

struct vu_vring_addr fe_ring_wire_addr(const struct fe_ring *ring, unsigned index)
{
	return (struct vu_vring_addr){
		.index = index,
		.desc_uva = ring->packed ? (uintptr_t)ring->slots : (uintptr_t)ring->table,
		.avail_uva = ring->packed ? (uintptr_t)ring->driver_event : (uintptr_t)ring->avail,
		.used_uva = ring->packed ? (uintptr_t)ring->device_event : (uintptr_t)ring->used,
	};
}

/* Go over what was used and not polled yet, and take nothing. */
static uint32_t packed_base(const struct fe_ring *ring)
{
	uint16_t left = (uint16_t)(ring->published - ring->last_used);
	uint16_t slot = (uint16_t)ring->used_slot, bits = ring->used_bits;
	uint32_t position;

	for (; left && fe_packed_is_used(ring, slot, bits); left--) {
		uint16_t id = fe_load16(&ring->slots[slot].id);

		if (id >= ring->size || !fe_ring_flies(&ring->chains[id]))
			break; /* the next poll will say so */
		fe_packed_advance(ring, &slot, &bits, ring->chains[id].num_desc);
	}
	position = fe_packed_position(slot, bits);
	return position << 16 | position;
}

uint32_t fe_ring_base(const struct fe_ring *ring)
{
	if (!ring->packed)
		return fe_load16(&ring->used->idx);
	return ring->kind & FE_IN_ORDER ? fe_order_base(ring) : packed_base(ring);
}

int fe_ring_break(struct fe_ring *ring, const char *why)
{
	ring->broken = ring->slow_poll = true;
	ring->why = why;
	return -EPROTO;
}

int fe_ring_break_used(struct fe_ring *ring, uint32_t head)
{
	if (head >= ring->size)
		return fe_ring_break(ring, "used id outside the ring");
	if (!fe_ring_flies(&ring->chains[head]))
		return fe_ring_break(ring, "used id that is not in flight");
	return fe_ring_break(ring, "used length beyond the chain's writable bytes");
}

void fe_ring_notify(struct fe_ring *ring)
{
	uint64_t one = 1;

	ring->kicks++;
	/* EAGAIN: the counter is full of kicks the device has not taken. Nothing else can fail. */
	if (write(ring->kick_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

int fe_ring_wait(struct fe_ring *ring, int timeout_ms)
{
	uint64_t deadline = clock_ns() + (uint64_t)timeout_ms * 1000000;
	struct pollfd pfd = {.fd = ring->call_fd, .events = POLLIN};
	uint64_t count;
	int ret = 0;

	/* An interrupt asked for earlier may still be in the eventfd: look at the ring each time. */
	while (fe_ring_interrupts_on(ring)) {
		int left = -1;

		if (timeout_ms >= 0) {
			uint64_t now = clock_ns();

			if (now >= deadline) {
				ret = -ETIMEDOUT;
				break;
			}
			left = (int)((deadline - now + 999999) / 1000000);
		}
		if (poll(&pfd, 1, left) > 0 && read(ring->call_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN);
	}
	fe_ring_interrupts_off(ring);
	return ret;
}
