/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * split.h - the split ring (virtio 1.3, section 2.7), device side, inline.
 * Layer L3, queue thread. Included by virtqueue.h only, which is what a device includes.
 *
 * Three indices run freely: next_avail <= avail_idx (what the driver made available as last
 * read), and published <= next_used (what is staged but not yet visible).
 */
#ifndef RINGSIDE_RING_SPLIT_H
#define RINGSIDE_RING_SPLIT_H

#ifndef RINGSIDE_RING_VIRTQUEUE_H
#error "include vhost/ring/virtqueue.h"
#endif

#include "vhost/ring/chain.h"

/* used_event stands behind the available ring, avail_event behind the used ring (2.7.10). */
static inline uint16_t split_used_event(const struct virtqueue *vq)
{
	return guest_load16(&vq->avail->ring[vq->size]);
}

static inline void split_set_avail_event(struct virtqueue *vq, uint16_t index)
{
	guest_store16(&vq->used->ring[vq->size], index);
}

/* split_refresh - read the driver's index. Return: chains waiting; 0 when the ring is broken. */
static inline uint16_t split_refresh(struct virtqueue *vq)
{
	uint16_t idx, waiting;

	if (unlikely(vq->broken))
		return 0;
	idx = guest_load16(&vq->avail->idx);
	/* Pairs with the driver's write barrier between filling a slot and moving idx. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	waiting = (uint16_t)(idx - vq->next_avail);
	if (unlikely(waiting > vq->size)) {
		vq_break(vq, "available index jumped", waiting, vq->size);
		return 0;
	}
	vq->avail_idx = idx;
	return waiting;
}

static inline struct vq_desc split_load_desc(const void *p)
{
	uint64_t second = guest_load64((const uint8_t *)p + 8);

	return (struct vq_desc){
		.gpa = guest_load64(p),
		.len = (uint32_t)second,
		.flags = (uint16_t)(second >> 32),
		.tag = (uint16_t)(second >> 48),
	};
}

/*
 * split_collect - walk the chain at @head. At most as many descriptors as the queue has (or
 * VQ_MAX_INDIRECT in an indirect table) are read, so a loop ends. After an error the walk goes
 * on to the chain's end, so that the device can answer in its last byte.
 */
static inline void split_collect(struct virtqueue *vq, uint16_t head, struct vq_chain *chain)
{
	struct vq_table table = {.host = (const uint8_t *)vq->desc, .entries = vq->size};
	struct vq_walk walk = vq_walk_begin(chain);
	uint32_t budget = vq->size;
	bool indirect = false;
	uint32_t i = head;
	struct vq_desc desc;

	chain->head = head;
	for (;;) {
		const uint8_t *at = vq_table_at(vq, &table, i);

		if (unlikely(!at)) {
			vq_chain_fail(vq, chain, VQ_CHAIN_UNMAPPED, NULL);
			return;
		}
		desc = split_load_desc(at);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (unlikely(indirect || !vq_table_indirect(vq, desc, &table))) {
				vq_chain_fail(vq, chain, VQ_CHAIN_INDIRECT, NULL);
				return;
			}
			indirect = true;
			budget = min_of(table.entries, (uint32_t)VQ_MAX_INDIRECT);
			i = 0;
			continue;
		}
		vq_walk_add(vq, &walk, chain, desc);
		if (!(desc.flags & VRING_DESC_F_NEXT))
			break;
		i = desc.tag;
		if (unlikely(i >= table.entries || --budget == 0)) {
			vq_chain_fail(vq, chain, VQ_CHAIN_LOOP, NULL);
			return;
		}
	}
	vq_walk_end(vq, &walk, chain, desc);
}

static inline uint16_t split_avail_head(const struct virtqueue *vq, uint16_t index)
{
	return guest_load16(&vq->avail->ring[index & vq->mask]);
}

/* split_waiting - chains available, refreshing what is known when there is none. */
static inline unsigned split_waiting(struct virtqueue *vq)
{
	uint16_t known = (uint16_t)(vq->avail_idx - vq->next_avail);

	return known ? known : split_refresh(vq);
}

static inline int split_pop(struct virtqueue *vq, struct vq_chain *chain)
{
	uint16_t head;

	if (vq->next_avail == vq->avail_idx && !split_refresh(vq))
		return 0;
	head = split_avail_head(vq, vq->next_avail);
	if (!vq_take_head(vq, head, 1))
		return 0;
	vq->next_avail++;
	split_collect(vq, head, chain);
	if (unlikely(vq->track))
		track_pop(vq, chain, 0, 1);
	return 1;
}

static inline unsigned split_pop_burst(struct virtqueue *vq, struct vq_chain *const *chains,
				       unsigned max)
{
	uint16_t waiting = (uint16_t)(vq->avail_idx - vq->next_avail);
	uint16_t heads[VQ_MAX_BURST];
	unsigned i, n;

	if (waiting < max)
		waiting = split_refresh(vq);
	n = min_of((unsigned)waiting, max);
	n = min_of(n, (unsigned)VQ_MAX_BURST);
	/* The descriptors come from the other CPU's cache: ask for all before using the first. */
	for (i = 0; i < n; i++) {
		heads[i] = split_avail_head(vq, (uint16_t)(vq->next_avail + i));
		__builtin_prefetch(&vq->desc[heads[i] & vq->mask]);
	}
	for (i = 0; i < n; i++) {
		if (!vq_take_head(vq, heads[i], 1))
			break;
		vq->next_avail++;
		split_collect(vq, heads[i], chains[i]);
		if (unlikely(vq->track))
			track_pop(vq, chains[i], 0, 1);
	}
	return i;
}

static inline void split_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	vq_give_head(vq, chain->head);
	vq->next_avail--;
	if (unlikely(vq->broken)) /* there is nothing to pop on a broken ring, this one neither */
		vq->avail_idx = vq->next_avail;
}

static inline void split_push(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	vq_give_head(vq, head);
	guest_store64(&vq->used->ring[vq->next_used & vq->mask],
		      (uint64_t)written_bytes << 32 | head);
	vq->next_used++;
}

static inline void split_publish(struct virtqueue *vq)
{
	/* Pairs with the driver's read barrier between reading idx and the used elements; what
	 * was written to the buffers is visible before it too. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	guest_store16(&vq->used->idx, vq->next_used);
	vq->published = vq->next_used;
}

/* split_wants_call - after a publish: has the driver asked for an interrupt (2.7.7)? */
static inline bool split_wants_call(struct virtqueue *vq)
{
	uint16_t old = vq->signalled;
	uint16_t new = vq->published;

	vq->signalled = new;
	/* Pairs with the driver's full barrier between arming used_event (or its flag) and
	 * looking at the used index once more: one side sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->event_idx)
		return (uint16_t)(new - split_used_event(vq) - 1) < (uint16_t)(new - old);
	return !(guest_load16(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

static inline void split_kicks_off(struct virtqueue *vq)
{
	/* An event index the driver has passed is not reached again for 65535 chains. */
	if (vq->event_idx)
		split_set_avail_event(vq, (uint16_t)(vq->next_avail - 1));
	else
		guest_store16(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

static inline bool split_kicks_on(struct virtqueue *vq)
{
	if (vq->event_idx)
		split_set_avail_event(vq, vq->next_avail);
	else
		guest_store16(&vq->used->flags, 0);
	/* Pairs with the driver's full barrier between moving idx and reading avail_event. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return guest_load16(&vq->avail->idx) != vq->next_avail;
}

#endif
