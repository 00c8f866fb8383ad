/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_packed.h - the packed ring (virtio 1.3, section 2.8), driver side, inline.
 * Beside L1 (front-end), the driving thread. Included by ring.h only.
 *
 * A chain is prepared in memory of our own, linked as on a split ring, and copied into the ring
 * at each submission: a packed ring is filled in order. Its head is the buffer id.
 */
#ifndef RINGSIDE_FRONTEND_RING_PACKED_H
#define RINGSIDE_FRONTEND_RING_PACKED_H

#ifndef RINGSIDE_FRONTEND_RING_H
#error "include vhost/frontend/ring.h"
#endif

#define FE_PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define FE_PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)
#define FE_PACKED_BITS  (FE_PACKED_AVAIL | FE_PACKED_USED)
#define FE_PACKED_WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* fe_packed_advance - @by entries on; at the end of the ring the flag bits of the next round. */
static inline void fe_packed_advance(const struct fe_ring *ring, uint16_t *slot, uint16_t *bits,
				     unsigned by)
{
	unsigned next = *slot + by;

	if (next >= ring->size) {
		next -= ring->size;
		*bits ^= FE_PACKED_BITS;
	}
	*slot = (uint16_t)next;
}

/* The wrap counter is 1 while what is made available has AVAIL set, and what is used both. */
static inline uint16_t fe_packed_position(uint16_t slot, uint16_t bits)
{
	return (uint16_t)(slot | (bits & FE_PACKED_AVAIL ? FE_PACKED_WRAP : 0));
}

/* Length, id and flags of a descriptor are one aligned word. */
static inline uint64_t *fe_packed_word(const struct fe_ring *ring, uint16_t slot)
{
	return (uint64_t *)(void *)&ring->slots[slot].len;
}

/* fe_packed_put - the next descriptor of the ring. The first of a batch waits for the publish: a
 * device that has not seen it does not look at the others. */
static inline void fe_packed_put(struct fe_ring *ring, const struct vring_desc *from, uint64_t id)
{
	uint16_t slot = ring->avail_slot;
	uint64_t flags = le16toh(from->flags) | ring->avail_bits;
	uint64_t word = flags << 48 | id << 32 | le32toh(from->len);

	__atomic_store_n(&ring->slots[slot].addr, from->addr, __ATOMIC_RELAXED);
	if (likely(ring->held_word)) {
		__atomic_store_n(fe_packed_word(ring, slot), htole64(word), __ATOMIC_RELAXED);
	} else {
		ring->held_word = word; /* not 0: AVAIL or USED is set */
		ring->held_slot = slot;
	}
	fe_packed_advance(ring, &ring->avail_slot, &ring->avail_bits, 1);
}

static inline void fe_packed_stage(struct fe_ring *ring, unsigned head)
{
	const struct vring_desc *desc = &ring->desc[head];
	unsigned left = ring->chains[head].num_desc;

	ring->staged++;
	ring->unshown = (uint16_t)(ring->unshown + left);
	fe_packed_put(ring, desc, head);
	while (unlikely(--left)) {
		desc = &ring->desc[le16toh(desc->next)];
		fe_packed_put(ring, desc, head);
	}
}

static inline void fe_packed_publish(struct fe_ring *ring)
{
	if (ring->published == ring->staged)
		return;
	/* Release: all other descriptors and the buffers first. Pairs with the device's acquire
	 * of the flags. */
	__atomic_store_n(fe_packed_word(ring, ring->held_slot), htole64(ring->held_word),
			 __ATOMIC_RELEASE);
	ring->held_word = 0;
	ring->published = ring->staged;
	ring->shown_position = fe_packed_position(ring->avail_slot, ring->avail_bits);
	ring->unkicked += ring->unshown;
	ring->unshown = 0;
}

static inline bool fe_packed_kick_wanted(struct fe_ring *ring)
{
	uint16_t position = ring->shown_position;
	uint16_t flags, event, off;
	uint32_t both, passed = ring->unkicked;

	if (!passed)
		return false;
	ring->unkicked = 0;
	/* Pairs with the device's barrier between re-arming its event and its last look at the
	 * descriptor it waits for: one of the two sees the other's store. */
	fe_full_barrier();
	both = le32toh(__atomic_load_n((uint32_t *)(void *)ring->device_event, __ATOMIC_RELAXED));
	event = (uint16_t)both;
	flags = (uint16_t)(both >> 16) & 3;
	if (!ring->event_idx || flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	/* More than a round: an event passed then looks like one to come. */
	if (unlikely(passed > ring->size))
		return true;
	off = event & (uint16_t)~FE_PACKED_WRAP;
	if ((event ^ position) & FE_PACKED_WRAP)
		off = (uint16_t)(off - ring->size);
	position &= (uint16_t)~FE_PACKED_WRAP;
	return (uint16_t)(position - off - 1) < passed;
}

/* fe_packed_is_used - has the device written over @slot? Acquire: the rest of it, and the buffers,
 * are read after. Pairs with the device's release of the flags. */
static inline bool fe_packed_is_used(const struct fe_ring *ring, uint16_t slot, uint16_t bits)
{
	uint16_t flags = le16toh(__atomic_load_n(&ring->slots[slot].flags, __ATOMIC_ACQUIRE));

	return (flags & FE_PACKED_BITS) == bits;
}

/* fe_packed_take - one used element, read once and checked. The WRITE flag is not: devices differ
 * in setting it, and the length says the same. Return: its head, or -EPROTO. */
static inline int fe_packed_take(struct fe_ring *ring, struct fe_used *out)
{
	uint64_t word =
		le64toh(__atomic_load_n(fe_packed_word(ring, ring->used_slot), __ATOMIC_RELAXED));
	uint16_t id = (uint16_t)(word >> 32);
	uint32_t len = (uint32_t)word;

	if (unlikely(id >= ring->size))
		return fe_ring_break(ring, "used id outside the ring");
	if (unlikely(!ring->chains[id].in_flight))
		return fe_ring_break(ring, "used id that is not in flight");
	if (unlikely(len > ring->chains[id].in_bytes))
		return fe_ring_break(ring, "used length beyond the chain's writable bytes");
	ring->chains[id].in_flight = false;
	ring->last_used++;
	fe_packed_advance(ring, &ring->used_slot, &ring->used_bits, ring->chains[id].num_desc);
	out->head = id;
	out->len = len;
	return (int)id;
}

static inline int fe_packed_poll(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	unsigned n;
	int head;

	if (unlikely(ring->broken))
		return -EPROTO;
	/* Nothing is looked at that the device cannot have used. */
	for (n = 0; n < max && ring->last_used != ring->published; n++) {
		if (!fe_packed_is_used(ring, ring->used_slot, ring->used_bits))
			break;
		head = fe_packed_take(ring, &used[n]);
		if (unlikely(head < 0))
			return n ? (int)n : head;
		if (ring->chains[head].once)
			fe_ring_release(ring, (unsigned)head);
	}
	return (int)n;
}

/* Offset and flags of our event in one store: the device reads them in one word. */
static inline void fe_packed_set_event(struct fe_ring *ring, uint32_t flags)
{
	uint32_t position = fe_packed_position(ring->used_slot, ring->used_bits);

	__atomic_store_n((uint32_t *)(void *)ring->driver_event, htole32(flags << 16 | position),
			 __ATOMIC_RELAXED);
}

static inline void fe_packed_interrupts_off(struct fe_ring *ring)
{
	fe_packed_set_event(ring, VRING_PACKED_EVENT_FLAG_DISABLE);
}

static inline bool fe_packed_interrupts_on(struct fe_ring *ring)
{
	fe_packed_set_event(ring, ring->event_idx ? VRING_PACKED_EVENT_FLAG_DESC
						  : VRING_PACKED_EVENT_FLAG_ENABLE);
	/* Pairs with the device's barrier between using a descriptor and reading our event. */
	fe_full_barrier();
	return ring->last_used == ring->published ||
	       !fe_packed_is_used(ring, ring->used_slot, ring->used_bits);
}

#endif
