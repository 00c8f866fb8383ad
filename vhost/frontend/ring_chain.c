/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_chain.c - the driver's ring: preparing chains, in either format, and giving them back.
 * Beside L1 (front-end). The thread that drives the ring; what runs for each request is inline.
 */
#include "vhost/frontend/ring.h"

/* A descriptor of a ring or of an indirect table, in either format's layout. */
union any_desc {
	struct vring_desc split;
	struct vring_packed_desc packed;
};

/* @other: next, or packed: the buffer id. */
static void put_desc(const struct fe_ring *ring, union any_desc *desc, struct fe_buf buf,
		     uint16_t flags, uint16_t other)
{
	if (ring->packed)
		desc->packed = (struct vring_packed_desc){
			.addr = htole64(buf.gpa),
			.len = htole32(buf.len),
			.id = htole16(other),
			.flags = htole16(flags),
		};
	else
		desc->split = (struct vring_desc){
			.addr = htole64(buf.gpa),
			.len = htole32(buf.len),
			.flags = htole16(flags),
			.next = htole16(other),
		};
}

/* Where chains are prepared: descriptor @i. */
static union any_desc *ring_desc(const struct fe_ring *ring, unsigned i)
{
	return (union any_desc *)(void *)&ring->desc[i];
}

static union any_desc *indirect_table(const struct fe_ring *ring, unsigned head)
{
	return (union any_desc *)(void *)(ring->indirect + (size_t)head * ring->indirect_entries);
}

static void prepare_indirect(struct fe_ring *ring, unsigned head, const struct fe_buf *bufs,
			     unsigned num_out, unsigned n)
{
	union any_desc *table = indirect_table(ring, head);
	struct fe_buf whole = {
		.gpa = ring->indirect_gpa +
		       (uint64_t)head * ring->indirect_entries * sizeof(*table),
		.len = n * (uint32_t)sizeof(*table),
	};
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t write = i < num_out ? 0 : VRING_DESC_F_WRITE;
		bool more = i + 1 < n;

		/* A packed ring's table has no links (virtio 2.8.7); the others are in order. */
		if (ring->packed)
			put_desc(ring, &table[i], bufs[i], write, 0);
		else
			put_desc(ring, &table[i], bufs[i], write | (more ? VRING_DESC_F_NEXT : 0),
				 (uint16_t)(more ? i + 1 : 0));
	}
	put_desc(ring, ring_desc(ring, head), whole, VRING_DESC_F_INDIRECT,
		 (uint16_t)(ring->packed ? head : 0));
}

static void prepare_direct(struct fe_ring *ring, const uint16_t *descs, const struct fe_buf *bufs,
			   unsigned num_out, unsigned n)
{
	unsigned i;

	/* @descs is the popped end of the free stack: its last is the head. */
	for (i = 0; i < n; i++) {
		uint16_t at = descs[n - 1 - i];
		uint16_t next = i + 1 < n ? descs[n - 2 - i] : 0;

		put_desc(ring, ring_desc(ring, at), bufs[i],
			 (i < num_out ? 0 : VRING_DESC_F_WRITE) |
				 (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			 ring->packed ? descs[n - 1] : next);
		ring->links[at] = next;
	}
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
		.state = FE_CHAIN_IDLE,
	};
	return (int)head;
}

static union any_desc *chain_desc(struct fe_ring *ring, unsigned head, unsigned i)
{
	if (ring->indirect_entries) {
		assert(i < ring->indirect_entries);
		return indirect_table(ring, head) + i;
	}
	while (i--)
		head = ring->links[head];
	return ring_desc(ring, head);
}

void fe_ring_change(struct fe_ring *ring, unsigned head, unsigned i, struct fe_buf buf,
		    bool writable)
{
	union any_desc *desc = chain_desc(ring, head, i);
	struct fe_chain *chain = &ring->chains[head];
	uint16_t *at = ring->packed ? &desc->packed.flags : &desc->split.flags;
	uint16_t flags = le16toh(*at);

	assert(chain->state == FE_CHAIN_IDLE);
	/* Address and length have one place in both layouts. */
	if (flags & VRING_DESC_F_WRITE)
		chain->in_bytes -= min_of(le32toh(desc->split.len), chain->in_bytes);
	if (writable && add_overflows(chain->in_bytes, buf.len, &chain->in_bytes))
		chain->in_bytes = UINT32_MAX;
	flags = (uint16_t)((flags & ~VRING_DESC_F_WRITE) | (writable ? VRING_DESC_F_WRITE : 0));
	desc->split.addr = htole64(buf.gpa);
	desc->split.len = htole32(buf.len);
	*at = htole16(flags);
}

void fe_ring_release(struct fe_ring *ring, unsigned head)
{
	unsigned n = ring->chains[head].num_desc;
	unsigned i, d = head;

	assert(ring->chains[head].state == FE_CHAIN_IDLE && ring->num_free + n <= ring->size);
	/* The last descriptor first, so that the same chain comes off the stack again. */
	for (i = 0; i < n; i++) {
		ring->free_descs[ring->num_free + n - 1 - i] = (uint16_t)d;
		d = ring->links[d];
	}
	ring->num_free = (uint16_t)(ring->num_free + n);
	ring->chains[head] = (struct fe_chain){0};
}

int fe_ring_add(struct fe_ring *ring, const struct fe_buf *bufs, unsigned num_out, unsigned num_in)
{
	int head = fe_ring_prepare(ring, bufs, num_out, num_in);

	if (head < 0)
		return head;
	fe_ring_submit(ring, (unsigned)head);
	ring->chains[head].state = FE_CHAIN_FLIES_ONCE;
	return head;
}

void fe_ring_claim(struct fe_ring *ring, unsigned head, uint32_t in_bytes)
{
	assert(head < ring->size && !fe_ring_flies(&ring->chains[head]));
	ring->chains[head] =
		(struct fe_chain){.in_bytes = in_bytes, .num_desc = 1, .state = FE_CHAIN_IDLE};
}

bool fe_ring_land_once(struct fe_ring *ring, struct fe_chain *chain)
{
	unsigned head = (unsigned)(chain - ring->chains);

	if (chain->state != FE_CHAIN_FLIES_ONCE) {
		fe_ring_break_used(ring, head);
		return false;
	}
	chain->state = FE_CHAIN_IDLE;
	fe_ring_release(ring, head);
	return true;
}
