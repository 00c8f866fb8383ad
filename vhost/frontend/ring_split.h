/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_split.h - the split ring (virtio 1.3, section 2.7), driver side, inline.
 * Beside L1 (front-end), the driving thread. Included by ring.h only.
 *
 * Indices run freely: last_used <= used_idx <= published <= staged, never more than size apart.
 */
#ifndef RINGSIDE_FRONTEND_RING_SPLIT_H
#define RINGSIDE_FRONTEND_RING_SPLIT_H

#ifndef RINGSIDE_FRONTEND_RING_H
#error "include vhost/frontend/ring.h"
#endif

static inline void fe_split_stage(struct fe_ring *ring, unsigned head)
{
	fe_store16(&ring->avail->ring[ring->staged++ & ring->mask], (uint16_t)head);
}

static inline void fe_split_publish(struct fe_ring *ring)
{
	/* Release: entries, descriptors and buffers first. Pairs with the device's acquire of
	 * avail->idx. */
	__atomic_store_n(&ring->avail->idx, htole16(ring->staged), __ATOMIC_RELEASE);
	ring->published = ring->staged;
}

static inline bool fe_split_kick_wanted(struct fe_ring *ring)
{
	uint16_t old = ring->kicked;
	uint16_t new = ring->published;

	if (old == new)
		return false;
	ring->kicked = new;
	/* Pairs with the device's barrier between re-arming (avail_event, used->flags) and its
	 * last look at avail->idx: one of the two sees the other's store. */
	fe_full_barrier();
	if (ring->event_idx)
		return (uint16_t)(new - fe_load16(ring->avail_event) - 1) < (uint16_t)(new - old);
	return !(fe_load16(&ring->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* fe_split_refresh - read the device's index. Return: used chains waiting, or -EPROTO. */
static inline int fe_split_refresh(struct fe_ring *ring)
{
	uint16_t waiting;

	/* Acquire: used elements and buffers after. Pairs with the device's release of idx. */
	ring->used_idx = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));
	waiting = (uint16_t)(ring->used_idx - ring->last_used);
	if (unlikely(waiting > (uint16_t)(ring->published - ring->last_used)))
		return fe_ring_break(ring, "more chains used than were made available");
	return waiting;
}

static inline int fe_split_poll(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	const struct vring_used_elem *elems = ring->used->ring;
	struct fe_chain *chains = ring->chains;
	uint32_t at = ring->last_used, mask = ring->mask;
	int waiting = (uint16_t)(ring->used_idx - at);
	unsigned n;
	int ret = 0;

	if (waiting == 0) {
		waiting = fe_split_refresh(ring);
		if (waiting <= 0)
			return waiting;
	}
	max = min_of((unsigned)waiting, max);
	for (n = 0; n < max; n++, at++) {
		/* Read once, then checked. */
		const struct vring_used_elem *elem = &elems[at & mask];
		uint32_t head = le32toh(__atomic_load_n(&elem->id, __ATOMIC_RELAXED));
		uint32_t len = le32toh(__atomic_load_n(&elem->len, __ATOMIC_RELAXED));

		if (unlikely(head > mask || len > chains[head].in_bytes)) {
			ret = fe_ring_break_used(ring, head);
			break;
		}
		if (unlikely(!fe_ring_land(ring, &chains[head]))) {
			ret = -EPROTO;
			break;
		}
		used[n] = (struct fe_used){.head = head, .len = len};
	}
	ring->last_used = (uint16_t)at;
	return n ? (int)n : ret; /* the good ones first */
}

static inline void fe_split_interrupts_off(struct fe_ring *ring)
{
	/* With event index the wanted index is left behind: the device has passed it. That gives
	 * one needless interrupt each time the index wraps, as in Linux. */
	if (ring->event_idx)
		fe_store16(ring->used_event, (uint16_t)(ring->last_used - 1));
	else
		fe_store16(&ring->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

static inline bool fe_split_interrupts_on(struct fe_ring *ring)
{
	if (ring->event_idx)
		fe_store16(ring->used_event, ring->last_used);
	else
		fe_store16(&ring->avail->flags, 0);
	/* Pairs with the device's barrier between moving used->idx and reading used_event. */
	fe_full_barrier();
	return fe_load16(&ring->used->idx) == ring->last_used;
}

#endif
