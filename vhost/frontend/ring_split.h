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

/* fe_split_take - one used element, read once and checked. Return: its head, or -EPROTO. */
static inline int fe_split_take(struct fe_ring *ring, struct fe_used *out)
{
	struct vring_used_elem *elem = &ring->used->ring[ring->last_used & ring->mask];
	uint32_t head = le32toh(__atomic_load_n(&elem->id, __ATOMIC_RELAXED));
	uint32_t len = le32toh(__atomic_load_n(&elem->len, __ATOMIC_RELAXED));

	if (unlikely(head >= ring->size))
		return fe_ring_break(ring, "used id outside the ring");
	if (unlikely(!ring->chains[head].in_flight))
		return fe_ring_break(ring, "used id that is not in flight");
	if (unlikely(len > ring->chains[head].in_bytes))
		return fe_ring_break(ring, "used length beyond the chain's writable bytes");
	ring->chains[head].in_flight = false;
	ring->last_used++;
	out->head = head;
	out->len = len;
	return (int)head;
}

static inline int fe_split_poll(struct fe_ring *ring, struct fe_used *used, unsigned max)
{
	int waiting = (uint16_t)(ring->used_idx - ring->last_used);
	unsigned i, n;

	if (unlikely(ring->broken))
		return -EPROTO;
	if (waiting == 0) {
		waiting = fe_split_refresh(ring);
		if (waiting <= 0)
			return waiting;
	}
	n = min_of((unsigned)waiting, max);
	for (i = 0; i < n; i++) {
		int head = fe_split_take(ring, &used[i]);

		if (unlikely(head < 0))
			return i ? (int)i : head;
		if (ring->chains[head].once)
			fe_ring_release(ring, (unsigned)head);
	}
	return (int)n;
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
