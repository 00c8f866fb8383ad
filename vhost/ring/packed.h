/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packed.h - the packed ring (virtio 1.3, section 2.8), device side, inline.
 * Layer L3, queue thread. Included by virtqueue.h only, which is what a device includes.
 *
 * One array of descriptors serves both directions; a wrap counter on each side tells a
 * descriptor of this round from one of the last. A used element takes the place of the first
 * descriptor of some chain and skips as many as that chain had.
 */
#ifndef RINGSIDE_RING_PACKED_H
#define RINGSIDE_RING_PACKED_H

#ifndef RINGSIDE_RING_VIRTQUEUE_H
#error "include vhost/ring/virtqueue.h"
#endif

#include "vhost/ring/chain.h"

#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)
#define PACKED_WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static inline struct vring_packed_desc *packed_slot(const struct virtqueue *vq, uint16_t i)
{
	return (struct vring_packed_desc *)vq->desc + i;
}

/* The event areas stand where a split ring has its available and used rings. */
static inline struct vring_packed_desc_event *packed_driver_event(const struct virtqueue *vq)
{
	return (struct vring_packed_desc_event *)vq->avail;
}

static inline struct vring_packed_desc_event *packed_device_event(const struct virtqueue *vq)
{
	return (struct vring_packed_desc_event *)vq->used;
}

/* packed_load_word - length, id and flags: one load, so that flags which say "available" come with
 * the length and id that were stored before them. */
static inline uint64_t packed_load_word(const void *p)
{
	return guest_load64((const uint8_t *)p + 8);
}

static inline struct vq_desc packed_desc(const void *p, uint64_t second)
{
	return (struct vq_desc){
		.gpa = guest_load64(p),
		.len = (uint32_t)second,
		.flags = (uint16_t)(second >> 48),
		.tag = (uint16_t)(second >> 32),
	};
}

static inline struct vq_desc packed_load_desc(const void *p)
{
	return packed_desc(p, packed_load_word(p));
}

/* packed_advance - move a position @by entries on, turning its wrap counter at the end. */
static inline void packed_advance(const struct virtqueue *vq, uint16_t *slot, bool *wrap,
				  unsigned by)
{
	unsigned next = *slot + by;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*slot = (uint16_t)next;
}

static inline bool packed_is_available(uint16_t flags, bool wrap)
{
	return (flags & (PACKED_AVAIL | PACKED_USED)) == (wrap ? PACKED_AVAIL : PACKED_USED);
}

/* Position and wrap counter as an event has them (2.8.14). */
static inline uint16_t packed_position(uint16_t slot, bool wrap)
{
	return (uint16_t)(slot | (wrap ? PACKED_WRAP : 0));
}

/* packed_has_next - is there a chain to take? */
static inline bool packed_has_next(const struct virtqueue *vq)
{
	uint16_t flags = guest_load16(&packed_slot(vq, vq->next_avail)->flags);

	return likely(!vq->broken) && packed_is_available(flags, vq->avail_wrap);
}

/* packed_waiting - descriptors available, counted up to @max: at least as many as chains. */
static inline unsigned packed_waiting(const struct virtqueue *vq, unsigned max)
{
	const struct vring_packed_desc *desc = packed_slot(vq, vq->next_avail);
	const struct vring_packed_desc *end = packed_slot(vq, vq->size);
	bool wrap = vq->avail_wrap;
	unsigned n;

	if (unlikely(vq->broken))
		return 0;
	for (n = 0; n < max && packed_is_available(guest_load16(&desc->flags), wrap); n++) {
		if (unlikely(++desc == end)) {
			desc = packed_slot(vq, 0);
			wrap = !wrap;
		}
	}
	return n;
}

/* packed_collect_indirect - all of the table is the chain; of the flags in it only WRITE means
 * anything (2.8.7). */
static inline void packed_collect_indirect(struct virtqueue *vq, struct vq_desc pointer,
					   struct vq_chain *chain)
{
	const uint16_t meant = vq->reads_only ? 0 : VRING_DESC_F_WRITE;
	struct vq_walk walk = vq_walk_begin(chain);
	struct vq_desc desc = pointer;
	struct vq_table table;
	uint32_t i;

	if (unlikely(!vq_table_indirect(vq, pointer, &table) || table.entries > VQ_MAX_INDIRECT)) {
		vq_chain_fail(vq, chain, VQ_CHAIN_INDIRECT, NULL);
		return;
	}
	for (i = 0; i < table.entries; i++) {
		const uint8_t *at = vq_table_at(vq, &table, i);

		if (unlikely(!at)) {
			vq_chain_fail(vq, chain, VQ_CHAIN_UNMAPPED, NULL);
			return;
		}
		desc = packed_load_desc(at);
		desc.flags &= meant;
		vq_walk_add(vq, &walk, chain, desc);
	}
	vq_walk_end(vq, &walk, chain, desc);
}

/*
 * packed_collect - walk the chain that begins with @desc at next_avail; its other descriptors
 * follow in the ring and are available too (2.8.6). The buffer id stands in the last one. An
 * indirect descriptor is a chain by itself (2.8.19).
 * Return: ring entries it takes, with the id in *@id; 0 when it has no end, or they and those in
 * flight are more than the ring has.
 */
static inline unsigned packed_collect(struct virtqueue *vq, struct vq_chain *chain,
				      struct vq_desc desc, uint16_t *id)
{
	const struct vring_packed_desc *at = packed_slot(vq, vq->next_avail);
	const struct vring_packed_desc *end = packed_slot(vq, vq->size);
	struct vq_walk walk = vq_walk_begin(chain);
	unsigned room = vq->room;
	unsigned n = 0;

	for (;;) {
		if (unlikely(++n > room))
			return 0;
		if (unlikely(desc.flags & VRING_DESC_F_INDIRECT))
			walk.error = VQ_CHAIN_INDIRECT;
		else
			vq_walk_add(vq, &walk, chain, desc);
		if (!(desc.flags & VRING_DESC_F_NEXT))
			break;
		if (unlikely(++at == end))
			at = packed_slot(vq, 0);
		desc = packed_load_desc(at);
	}
	*id = desc.tag;
	vq_walk_end(vq, &walk, chain, desc);
	return n;
}

static inline __attribute__((always_inline)) int packed_pop(struct virtqueue *vq,
							    struct vq_chain *chain)
{
	const struct vring_packed_desc *at = packed_slot(vq, vq->next_avail);
	uint64_t word = packed_load_word(at);
	struct vq_desc desc;
	unsigned n = 1;
	uint16_t id;

	if (unlikely(vq->broken) || !packed_is_available((uint16_t)(word >> 48), vq->avail_wrap))
		return 0;
	/* Pairs with the driver's write barrier before it sets the first descriptor's flags. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* The id comes last; until then a log line names the place in the ring. */
	chain->head = vq->next_avail;
	desc = packed_desc(at, word);
	if (desc.flags & VRING_DESC_F_INDIRECT && !(desc.flags & VRING_DESC_F_NEXT) && vq->room) {
		packed_collect_indirect(vq, desc, chain);
		id = desc.tag;
	} else {
		n = packed_collect(vq, chain, desc, &id);
	}
	if (unlikely(!n)) {
		vq_break(vq, "chain longer than the rest of the ring", vq->room + 1u, vq->size);
		return 0;
	}
	if (!vq_take_head(vq, id, n))
		return 0;
	chain->head = id;
	vq->room = (uint16_t)(vq->room - n);
	if (unlikely(vq->track))
		track_pop(vq, chain, vq->next_avail, n);
	packed_advance(vq, &vq->next_avail, &vq->avail_wrap, n);
	return 1;
}

static inline unsigned packed_pop_burst(struct virtqueue *vq, struct vq_chain *const *chains,
					unsigned max)
{
	unsigned n = 0;

	while (n < max && packed_pop(vq, chains[n]))
		n++;
	return n;
}

static inline void packed_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	unsigned n = vq_give_head(vq, chain->head);

	vq->room = (uint16_t)(vq->room + n);
	if (vq->next_avail < n) {
		vq->next_avail = (uint16_t)(vq->next_avail + vq->size);
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->next_avail = (uint16_t)(vq->next_avail - n);
}

/* packed_stage - a used element that stands for @entries descriptors: one chain, or in order
 * several, of which @id is the last. */
static inline void packed_stage(struct virtqueue *vq, uint16_t id, uint32_t written_bytes,
				unsigned entries)
{
	uint16_t flags = (uint16_t)((vq->used_wrap ? PACKED_AVAIL | PACKED_USED : 0) |
				    (written_bytes ? VRING_DESC_F_WRITE : 0));
	uint64_t word = (uint64_t)flags << 48 | (uint64_t)id << 32 | written_bytes;

	/* The first of a batch is held back until the publish: a driver that has not seen it does
	 * not look at the others. */
	if (vq->staged) {
		guest_store64(&packed_slot(vq, vq->next_used)->len, word);
	} else {
		vq->staged_slot = vq->next_used;
		vq->staged_word = word;
		vq->staged = true;
	}
	packed_advance(vq, &vq->next_used, &vq->used_wrap, entries);
	vq->unsignalled += entries;
}

static inline void packed_push(struct virtqueue *vq, uint16_t id, uint32_t written_bytes)
{
	unsigned n = vq_give_head(vq, id);

	vq->room = (uint16_t)(vq->room + n);
	packed_stage(vq, id, written_bytes, n);
}

static inline void packed_publish(struct virtqueue *vq)
{
	/* Pairs with the driver's read barrier between the flags and the rest of a used element;
	 * what was written to the buffers is visible before it too. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	guest_store64(&packed_slot(vq, vq->staged_slot)->len, vq->staged_word);
	vq->staged = false;
}

/* packed_wants_call - after a publish: has the driver asked for an interrupt (2.8.10)? */
static inline bool packed_wants_call(struct virtqueue *vq)
{
	uint16_t off_wrap, flags, off;
	uint32_t event, passed = vq->unsignalled;

	vq->unsignalled = 0;
	/* Pairs with the driver's full barrier between arming its event and looking at the next
	 * used descriptor: one side sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = guest_load32(packed_driver_event(vq));
	off_wrap = (uint16_t)event;
	flags = (uint16_t)(event >> 16) & 3;
	if (!vq->event_idx || flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	/* More than a round: an event passed then looks like one to come. */
	if (unlikely(passed > vq->size))
		return true;
	off = off_wrap & (uint16_t)~PACKED_WRAP;
	if (!!(off_wrap & PACKED_WRAP) != vq->used_wrap)
		off = (uint16_t)(off - vq->size);
	return (uint16_t)(vq->next_used - off - 1) < passed;
}

/* Offset and flags of an event in one store: a driver never sees new flags with an old offset. */
static inline void packed_set_event(struct virtqueue *vq, uint16_t flags)
{
	guest_store32(packed_device_event(vq),
		      (uint32_t)flags << 16 | packed_position(vq->next_avail, vq->avail_wrap));
}

static inline void packed_kicks_off(struct virtqueue *vq)
{
	packed_set_event(vq, VRING_PACKED_EVENT_FLAG_DISABLE);
}

static inline bool packed_kicks_on(struct virtqueue *vq)
{
	packed_set_event(vq, vq->event_idx ? VRING_PACKED_EVENT_FLAG_DESC
					   : VRING_PACKED_EVENT_FLAG_ENABLE);
	/* Pairs with the driver's full barrier between making available and reading the event. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return packed_has_next(vq);
}

#endif
