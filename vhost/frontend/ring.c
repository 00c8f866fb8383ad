/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - the driver's ring: laying it out, preparing chains, sleeping.
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
	ring->avail_bits = FE_PACKED_AVAIL; /* both wrap counters begin at 1 */
	ring->used_bits = FE_PACKED_BITS;
	ring->shown_position = FE_PACKED_WRAP;
	ring->unshown = 0;
	ring->unkicked = 0;
	ring->held_word = 0;
	ring->broken = false;
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
	ring->desc = (struct vring_desc *)desc.host;
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
	ring->desc = calloc(ring->size, sizeof(*ring->desc));
	return ring->desc ? 0 : -ENOMEM;
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
	/* Packed, the links are in our own memory and need none. */
	ring->mask = options->packed ? UINT16_MAX : (uint16_t)(options->size - 1);
	ring->packed = options->packed;
	ring->event_idx = options->event_idx;
	ring->indirect_entries = options->indirect;

	ret = ring->packed ? alloc_packed(ring, mem) : alloc_split(ring, mem);
	if (!ret)
		ret = alloc_tables(ring, mem);
	if (ret)
		goto fail;
	ring->chains = calloc(ring->size, sizeof(*ring->chains));
	ring->free_descs = calloc(ring->size, sizeof(*ring->free_descs));
	ret = -ENOMEM;
	if (!ring->chains || !ring->free_descs)
		goto fail;
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
	if (ring->packed) {
		free(ring->desc);
		ring->desc = NULL;
	}
	free(ring->chains);
	free(ring->free_descs);
	ring->chains = NULL;
	ring->free_descs = NULL;
}

void fe_ring_reset(struct fe_ring *ring)
{
	unsigned i;

	for (i = 0; i < ring->size; i++) {
		if (!ring->chains[i].in_flight)
			continue;
		ring->chains[i].in_flight = false;
		if (ring->chains[i].once)
			fe_ring_release(ring, i);
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
		.desc_uva = ring->packed ? (uintptr_t)ring->slots : (uintptr_t)ring->desc,
		.avail_uva = ring->packed ? (uintptr_t)ring->driver_event : (uintptr_t)ring->avail,
		.used_uva = ring->packed ? (uintptr_t)ring->device_event : (uintptr_t)ring->used,
	};
}

/* Go over what was used and not polled yet, and take nothing. */
static uint32_t packed_base(const struct fe_ring *ring)
{
	uint16_t left = (uint16_t)(ring->published - ring->last_used);
	uint16_t slot = ring->used_slot, bits = ring->used_bits;
	uint32_t position;

	for (; left && fe_packed_is_used(ring, slot, bits); left--) {
		uint16_t id = fe_load16(&ring->slots[slot].id);

		if (id >= ring->size || !ring->chains[id].in_flight)
			break; /* the next poll will say so */
		fe_packed_advance(ring, &slot, &bits, ring->chains[id].num_desc);
	}
	position = fe_packed_position(slot, bits);
	return position << 16 | position;
}

uint32_t fe_ring_base(const struct fe_ring *ring)
{
	return ring->packed ? packed_base(ring) : fe_load16(&ring->used->idx);
}

static struct vring_desc make_desc(struct fe_buf buf, uint16_t flags, uint16_t next)
{
	return (struct vring_desc){
		.addr = htole64(buf.gpa),
		.len = htole32(buf.len),
		.flags = htole16(flags),
		.next = htole16(next),
	};
}

static struct vring_desc *indirect_table(const struct fe_ring *ring, unsigned head)
{
	return ring->indirect + (size_t)head * ring->indirect_entries;
}

static void prepare_indirect(struct fe_ring *ring, unsigned head, const struct fe_buf *bufs,
			     unsigned num_out, unsigned n)
{
	struct vring_desc *table = indirect_table(ring, head);
	struct fe_buf whole = {
		.gpa = ring->indirect_gpa +
		       (uint64_t)head * ring->indirect_entries * sizeof(*table),
		.len = n * (uint32_t)sizeof(*table),
	};
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t write = i < num_out ? 0 : VRING_DESC_F_WRITE;
		bool more = i + 1 < n;

		/* A packed ring's table has no links, and its flags last (virtio 2.8.7). */
		table[i] = ring->packed ? make_desc(bufs[i], 0, write)
					: make_desc(bufs[i], write | (more ? VRING_DESC_F_NEXT : 0),
						    (uint16_t)(more ? i + 1 : 0));
	}
	ring->desc[head] = make_desc(whole, VRING_DESC_F_INDIRECT, 0);
}

static void prepare_direct(struct fe_ring *ring, const uint16_t *descs, const struct fe_buf *bufs,
			   unsigned num_out, unsigned n)
{
	unsigned i;

	/* @descs is the popped end of the free stack: its last is the head. */
	for (i = 0; i < n; i++)
		ring->desc[descs[n - 1 - i]] =
			make_desc(bufs[i],
				  (i < num_out ? 0 : VRING_DESC_F_WRITE) |
					  (i + 1 < n ? VRING_DESC_F_NEXT : 0),
				  (uint16_t)(i + 1 < n ? descs[n - 2 - i] : 0));
}

int fe_ring_prepare(struct fe_ring *ring, const struct fe_buf *bufs, unsigned num_out,
		    unsigned num_in)
{
	unsigned n = num_out + num_in;
	unsigned held = ring->indirect_entries ? 1 : n;
	uint64_t in_bytes = 0;
	unsigned i, head;

	if (!n || n < num_out)
		return -EINVAL;
	if (ring->indirect_entries && n > ring->indirect_entries)
		return -E2BIG;
	if (held > ring->num_free)
		return -ENOSPC;
	for (i = num_out; i < n; i++)
		in_bytes += bufs[i].len;
	ring->num_free = (uint16_t)(ring->num_free - held);
	head = ring->free_descs[ring->num_free + held - 1];
	if (ring->indirect_entries)
		prepare_indirect(ring, head, bufs, num_out, n);
	else
		prepare_direct(ring, &ring->free_descs[ring->num_free], bufs, num_out, n);
	ring->chains[head] = (struct fe_chain){
		.in_bytes = in_bytes < UINT32_MAX ? (uint32_t)in_bytes : UINT32_MAX,
		.num_desc = (uint16_t)held,
	};
	return (int)head;
}

/* The device shares these descriptors but never writes them; ours are as we left them unless it
 * broke that rule, so a walk is bounded and its indices are masked. */
static struct vring_desc *chain_desc(struct fe_ring *ring, unsigned head, unsigned i)
{
	if (ring->indirect_entries) {
		assert(i < ring->indirect_entries);
		return indirect_table(ring, head) + i;
	}
	while (i--)
		head = le16toh(ring->desc[head].next) & ring->mask;
	return &ring->desc[head];
}

static uint16_t *desc_flags(const struct fe_ring *ring, struct vring_desc *desc)
{
	return ring->packed && ring->indirect_entries ? &desc->next : &desc->flags;
}

void fe_ring_change(struct fe_ring *ring, unsigned head, unsigned i, struct fe_buf buf,
		    bool writable)
{
	struct vring_desc *desc = chain_desc(ring, head, i);
	struct fe_chain *chain = &ring->chains[head];
	uint16_t *at = desc_flags(ring, desc);
	uint16_t flags = le16toh(*at);

	assert(!chain->in_flight);
	if (flags & VRING_DESC_F_WRITE)
		chain->in_bytes -= min_of(le32toh(desc->len), chain->in_bytes);
	if (writable && add_overflows(chain->in_bytes, buf.len, &chain->in_bytes))
		chain->in_bytes = UINT32_MAX;
	flags = (uint16_t)((flags & ~VRING_DESC_F_WRITE) | (writable ? VRING_DESC_F_WRITE : 0));
	desc->addr = htole64(buf.gpa);
	desc->len = htole32(buf.len);
	*at = htole16(flags);
}

void fe_ring_release(struct fe_ring *ring, unsigned head)
{
	unsigned n = ring->chains[head].num_desc;
	unsigned i, d = head;

	assert(!ring->chains[head].in_flight && n && ring->num_free + n <= ring->size);
	/* The last descriptor first, so that the same chain comes off the stack again. */
	for (i = 0; i < n; i++) {
		ring->free_descs[ring->num_free + n - 1 - i] = (uint16_t)d;
		d = le16toh(ring->desc[d].next) & ring->mask;
	}
	ring->num_free = (uint16_t)(ring->num_free + n);
	ring->chains[head] = (struct fe_chain){0};
}

int fe_ring_add(struct fe_ring *ring, const struct fe_buf *bufs, unsigned num_out, unsigned num_in)
{
	int head = fe_ring_prepare(ring, bufs, num_out, num_in);

	if (head < 0)
		return head;
	ring->chains[head].once = true;
	fe_ring_submit(ring, (unsigned)head);
	return head;
}

void fe_ring_claim(struct fe_ring *ring, unsigned head, uint32_t in_bytes)
{
	assert(head < ring->size && !ring->chains[head].in_flight);
	ring->chains[head] = (struct fe_chain){.in_bytes = in_bytes, .num_desc = 1};
}

int fe_ring_break(struct fe_ring *ring, const char *why)
{
	ring->broken = true;
	ring->why = why;
	return -EPROTO;
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
