/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_order.c - rings whose device uses chains in the order of submission (VIRTIO_F_IN_ORDER).
 * Beside L1 (front-end), the driving thread.
 *
 * The device may answer a batch with one used entry: the id of its last chain, at the place where
 * the first chain's entry would stand; the chains before the last count as written completely
 * (virtio 1.3, sections 2.7.9 and 2.8.8). Chains are therefore remembered as they were submitted.
 */
#include "vhost/frontend/ring.h"

/* Where the device will write its next used entry. */
struct order_cursor {
	uint16_t index; /* of the first chain not used yet */
	uint16_t slot; /* its first descriptor */
	uint16_t bits; /* packed: flag bits that mean used there */
};

/* Copy a chain to the next place in the table: there each descriptor is followed by its neighbour
 * (virtio 2.7.5, 2.7.5.2). */
static void order_stage_split(struct fe_ring *ring, unsigned head, unsigned left)
{
	uint16_t first = (uint16_t)ring->avail_slot, at = first;

	for (; left; left--) {
		struct vring_desc desc = ring->desc[head];
		uint16_t next = (uint16_t)((at + 1) & ring->mask);

		desc.next = htole16(next); /* counts where NEXT is set */
		ring->table[at] = desc;
		at = next;
		head = ring->links[head];
	}
	ring->avail_slot = at;
	fe_split_stage(ring, first);
}

/* At the end of a packed ring the flag bits change. */
static void stage_packed_end(struct fe_ring *ring, unsigned head, unsigned left)
{
	bool first = true;

	for (; left; left--) {
		fe_words words = *fe_packed_words(&ring->shape[head]) | ring->avail_bits;

		if (first)
			fe_packed_put(ring, ring->avail_slot, words);
		else
			*fe_packed_words(&ring->slots[ring->avail_slot]) = words;
		first = false;
		if (++ring->avail_slot == ring->size) {
			ring->avail_slot = 0;
			ring->avail_wrap ^= FE_PACKED_WRAP;
			ring->avail_bits ^= fe_packed_bits(FE_PACKED_BITS);
		}
		head = ring->links[head];
	}
}

void fe_ring_stage_slow(struct fe_ring *ring, unsigned head)
{
	unsigned num_desc = ring->chains[head].num_desc;

	if (ring->kind & FE_IN_ORDER)
		ring->flights[ring->staged & ring->flight_mask] = (uint16_t)head;
	if (!ring->packed)
		order_stage_split(ring, head, num_desc);
	else if (ring->avail_slot + num_desc < ring->size)
		fe_packed_fill(ring, ring->avail_slot, head, num_desc);
	else
		stage_packed_end(ring, head, num_desc);
}

static unsigned order_head(const struct fe_ring *ring, uint16_t index)
{
	return ring->flights[index & ring->flight_mask];
}

/* order_step - past one chain. */
static void order_step(const struct fe_ring *ring, struct order_cursor *c)
{
	fe_packed_advance(ring, &c->slot, &c->bits,
			  ring->chains[order_head(ring, c->index)].num_desc);
	c->index++;
}

/* What the device calls the chain at @c: its buffer id, or where in the table it was laid. */
static unsigned order_id(const struct fe_ring *ring, const struct order_cursor *c)
{
	return ring->packed ? order_head(ring, c->index) : c->slot;
}

/* order_find - chains up to and including @id, from @c on. Return: 0, not among the next @limit. */
static unsigned order_find(const struct fe_ring *ring, struct order_cursor c, uint32_t id,
			   unsigned limit)
{
	unsigned n;

	for (n = 1; n <= limit; n++) {
		if (order_id(ring, &c) == id)
			return n;
		order_step(ring, &c);
	}
	return 0;
}

static struct order_cursor order_begin(const struct fe_ring *ring)
{
	return (struct order_cursor){ring->last_used, (uint16_t)ring->used_slot, ring->used_bits};
}

/* The used entry at @c, read once. Return: chains it may be for, 0: nothing was used. */
static unsigned order_read_packed(const struct fe_ring *ring, const struct order_cursor *c,
				  uint32_t *id, uint32_t *len)
{
	uint64_t word;

	if (c->index == ring->published)
		return 0;
	/* As in fe_packed_poll(). */
	word = le64toh(__atomic_load_n(fe_packed_word(ring, c->slot), __ATOMIC_ACQUIRE));
	if ((word >> 48 & FE_PACKED_BITS) != c->bits)
		return 0;
	*id = (uint16_t)(word >> 32);
	*len = (uint32_t)word;
	return (uint16_t)(ring->published - c->index);
}

static int order_read_split(struct fe_ring *ring, const struct order_cursor *c, uint32_t *id,
			    uint32_t *len)
{
	struct vring_used_elem *elem = &ring->used->ring[c->index & ring->mask];
	int waiting = (uint16_t)(ring->used_idx - c->index);

	if (!waiting) {
		ring->last_used = c->index;
		waiting = fe_split_refresh(ring);
		if (waiting <= 0)
			return waiting;
	}
	*id = le32toh(__atomic_load_n(&elem->id, __ATOMIC_RELAXED));
	*len = le32toh(__atomic_load_n(&elem->len, __ATOMIC_RELAXED));
	return waiting;
}

/* order_next_batch - begin the batch used at @c. Return: its chains, 0, or -EPROTO. */
static int order_next_batch(struct fe_ring *ring, const struct order_cursor *c)
{
	uint32_t id, len;
	unsigned last, n;
	int limit = ring->packed ? (int)order_read_packed(ring, c, &id, &len)
				 : order_read_split(ring, c, &id, &len);

	if (limit <= 0)
		return limit;
	n = order_find(ring, *c, id, (unsigned)limit);
	if (!n)
		return id < ring->size ? fe_ring_break(ring, "used id out of order")
				       : fe_ring_break_used(ring, id);
	last = order_head(ring, (uint16_t)(c->index + n - 1));
	if (len > ring->chains[last].in_bytes)
		return fe_ring_break_used(ring, last);
	ring->batch = (uint16_t)n;
	ring->batch_len = len;
	return (int)n;
}

int fe_ring_poll_slow(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	struct order_cursor c = order_begin(ring);
	unsigned n;
	int ret = 0;

	if (ring->broken)
		return -EPROTO;
	for (n = 0; n < max; n++) {
		unsigned head;

		if (!ring->batch) {
			ret = order_next_batch(ring, &c);
			if (ret <= 0)
				break;
		}
		head = order_head(ring, c.index);
		used[n] = (struct fe_used){.head = head, .len = ring->chains[head].in_bytes};
		if (!--ring->batch)
			used[n].len = ring->batch_len;
		order_step(ring, &c);
		fe_ring_land(ring, &ring->chains[head]);
	}
	ring->last_used = c.index;
	ring->used_slot = c.slot;
	ring->used_bits = c.bits;
	return n ? (int)n : ret;
}

uint32_t fe_order_base(const struct fe_ring *ring)
{
	struct order_cursor c = order_begin(ring);
	unsigned n = ring->batch, limit;
	uint32_t id, len, position;

	/* Go over what was used and not polled yet, and take nothing. */
	do {
		while (n--)
			order_step(ring, &c);
		limit = order_read_packed(ring, &c, &id, &len);
		/* A wrong id ends it: the next poll will say so. */
		n = limit ? order_find(ring, c, id, limit) : 0;
	} while (n);
	position = fe_packed_position(c.slot, c.bits);
	return position << 16 | position;
}
