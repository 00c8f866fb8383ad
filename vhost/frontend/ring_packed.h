/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_packed.h - the packed ring (virtio 1.3, section 2.8), driver side, inline.
 * Beside L1 (front-end), the driving thread. Included by ring.h only.
 *
 * A chain is prepared in memory of our own and copied into the ring at each submission: a packed
 * ring is filled in order. Its head is the buffer id, and its descriptors wait as they are to
 * stand in the ring, but for the two bits that tell the round.
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

/* fe_packed_bits - @bits where a descriptor has its flags. */
static inline fe_words fe_packed_bits(uint16_t bits)
{
	return (fe_words){0, htole64((uint64_t)bits << 48)};
}

/* The wrap counter is 1 while what is made available has AVAIL set, and what is used both. */
static inline uint16_t fe_packed_position(unsigned slot, uint16_t bits)
{
	return (uint16_t)(slot | (bits & FE_PACKED_AVAIL ? FE_PACKED_WRAP : 0));
}

/* Length, id and flags of a descriptor are one aligned word. */
static inline uint64_t *fe_packed_word(const struct fe_ring *ring, unsigned slot)
{
	return (uint64_t *)(void *)&ring->slots[slot].len;
}

static inline fe_words *fe_packed_words(struct vring_packed_desc *desc)
{
	return (fe_words *)(void *)desc;
}

/*
 * fe_packed_put - a descriptor into the ring by one store. The first of a batch waits for the
 * publish: a device that has not seen it does not look at the others.
 */
static inline void fe_packed_put(struct fe_ring *ring, unsigned slot, fe_words words)
{
	if (ring->staged++ == ring->published) {
		ring->held_slot = slot;
		ring->held = words;
	} else {
		*fe_packed_words(&ring->slots[slot]) = words;
	}
}

/* fe_packed_fill - a chain of @left descriptors to @slot, before the end of the ring. */
static inline void fe_packed_fill(struct fe_ring *ring, unsigned slot, unsigned head, unsigned left)
{
	struct vring_packed_desc *shape = ring->shape, *to = &ring->slots[slot];
	const uint16_t *links = ring->links;
	fe_words bits = ring->avail_bits;

	ring->avail_slot = slot + left;
	fe_packed_put(ring, slot, *fe_packed_words(&shape[head]) | bits);
	while (--left) {
		head = links[head];
		*fe_packed_words(++to) = *fe_packed_words(&shape[head]) | bits;
	}
}

/* fe_ring_stage_slow - a chain that reaches the end of a packed ring, or is in order. */
void fe_ring_stage_slow(struct fe_ring *ring, unsigned head);

/* fe_packed_stage - a chain of @num_desc descriptors into the ring. */
static inline void fe_packed_stage(struct fe_ring *ring, unsigned head, unsigned num_desc)
{
	unsigned slot = ring->avail_slot;

	if (likely(slot + num_desc < ring->fast_end))
		fe_packed_fill(ring, slot, head, num_desc);
	else
		fe_ring_stage_slow(ring, head);
}

static inline void fe_packed_publish(struct fe_ring *ring)
{
	uint32_t slot = ring->avail_slot, held = ring->held_slot;
	fe_words words = ring->held;

	if (ring->published == ring->staged)
		return;
	ring->published = ring->staged;
	ring->shown_position = (uint16_t)(slot | ring->avail_wrap);
	ring->unkicked += slot - held;
	if (slot <= held)
		ring->unkicked += ring->size;
	/* Address and flags follow each other, so that the line goes to and fro but once. */
	__atomic_store_n(&ring->slots[held].addr, words[0], __ATOMIC_RELAXED);
	/* Release: all other descriptors and the buffers first. Pairs with the device's acquire
	 * of the flags. */
	__atomic_store_n(fe_packed_word(ring, held), words[1], __ATOMIC_RELEASE);
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
static inline bool fe_packed_is_used(const struct fe_ring *ring, unsigned slot, uint16_t bits)
{
	uint16_t flags = le16toh(__atomic_load_n(&ring->slots[slot].flags, __ATOMIC_ACQUIRE));

	return (flags & FE_PACKED_BITS) == bits;
}

/*
 * fe_packed_poll - what was used. The WRITE flag is not checked: devices differ in setting it, and
 * the length says the same.
 */
static inline int fe_packed_poll(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	const uint64_t *words = fe_packed_word(ring, 0); /* every other one */
	const uint64_t bits_mask = (uint64_t)FE_PACKED_BITS << 48;
	uint64_t bits = (uint64_t)ring->used_bits << 48;
	unsigned waiting = (uint16_t)(ring->published - ring->last_used);
	size_t at = 2 * (size_t)ring->used_slot, end = 2 * (size_t)ring->size;
	struct fe_chain *chains = ring->chains;
	unsigned n;
	int ret = 0;

	/* Nothing is looked at that the device cannot have used. */
	max = min_of(waiting, max);
	for (n = 0; n < max; n++) {
		/* Read once, then checked. One aligned word is of one instant, so that length and
		 * id are those the flags came with. Acquire: the buffers after. Pairs with the
		 * device's release of the flags. */
		uint64_t word = le64toh(__atomic_load_n(&words[at], __ATOMIC_ACQUIRE));
		size_t id = (uint16_t)(word >> 32), num_desc;
		uint32_t len = (uint32_t)word;

		if ((word ^ bits) & bits_mask)
			break;
		if (unlikely(id >= ring->size || len > chains[id].in_bytes)) {
			ret = fe_ring_break_used(ring, (uint32_t)id);
			break;
		}
		num_desc = chains[id].num_desc;
		if (unlikely(!fe_ring_land(ring, &chains[id]))) {
			ret = -EPROTO;
			break;
		}
		at += 2 * num_desc;
		if (at >= end) {
			at -= end;
			bits ^= bits_mask;
		}
		used[n] = (struct fe_used){.head = (uint32_t)id, .len = len};
	}
	ring->used_slot = (uint32_t)(at / 2);
	ring->used_bits = (uint16_t)(bits >> 48);
	ring->last_used = (uint16_t)(ring->last_used + n);
	return n ? (int)n : ret; /* the good ones first */
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
	return !ring->batch && (ring->last_used == ring->published ||
				!fe_packed_is_used(ring, ring->used_slot, ring->used_bits));
}

#endif
