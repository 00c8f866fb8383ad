/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - what is noted in the in-flight area while a queue runs, and chains served again.
 * Layer L3, queue thread. The theory of operation is in inflight.h; recovery in recover.c.
 *
 * Every store to the area is volatile, so in the order written here as far as this process goes;
 * the fences keep it so for another one on machines that reorder stores.
 */
#include "vhost/ring/inflight.h"

#include <stdlib.h>
#include <string.h>

#include "vhost/ring/virtqueue.h"

static void store_fence(void)
{
	/* Pairs with nothing that runs: the process that reads the area comes after our end. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

uint64_t vq_inflight_bytes(bool packed, unsigned size)
{
	if (packed)
		return sizeof(struct inflight_packed) +
		       (uint64_t)size * sizeof(struct inflight_packed_entry);
	return sizeof(struct inflight_split) + (uint64_t)size * sizeof(struct inflight_split_entry);
}

void vq_inflight_clear(void *area, uint64_t bytes)
{
	static_assert(offsetof(struct inflight_split, version) ==
			      offsetof(struct inflight_packed, version),
		      "one version field");
	*(volatile uint16_t *)&((struct inflight_split *)area)->version = 0;
	store_fence();
	memset(area, 0, bytes);
}

int inflight_alloc(struct vq_inflight *inflight, unsigned size)
{
	uint16_t *arrays = calloc((size_t)size * 5, sizeof(arrays[0]));

	if (!arrays)
		return -ENOMEM;
	inflight->batch = arrays;
	inflight->next = arrays + size;
	inflight->last = arrays + 2 * (size_t)size;
	inflight->entry = arrays + 3 * (size_t)size;
	inflight->resubmit = arrays + 4 * (size_t)size;
	return 0;
}

void inflight_free(struct vq_inflight *inflight)
{
	free(inflight->batch);
	inflight->batch = NULL;
}

/* --- split --- */

static volatile struct inflight_split *split_area(const struct vq_inflight *inflight)
{
	return inflight->area;
}

static void split_begin(struct vq_inflight *inflight)
{
	volatile struct inflight_split *area = split_area(inflight);
	uint16_t head = area->last_batch_head;
	unsigned i;

	for (i = 0; i < inflight->num_batch; i++) {
		area->desc[inflight->batch[i]].next = head;
		head = inflight->batch[i];
		area->last_batch_head = head;
	}
}

static void split_end(struct virtqueue *vq, struct vq_inflight *inflight)
{
	volatile struct inflight_split *area = split_area(inflight);
	unsigned i;

	for (i = 0; i < inflight->num_batch; i++)
		area->desc[inflight->batch[i]].inflight = 0;
	store_fence();
	area->used_idx = vq->published;
}

/* --- packed --- */

static volatile struct inflight_packed *packed_area(const struct vq_inflight *inflight)
{
	return inflight->area;
}

/* packed_note - copy the chain's descriptors into free entries. They are read a second time: what
 * a driver changes meanwhile is checked again should the chain be served from here. */
static void packed_note(struct virtqueue *vq, struct vq_inflight *inflight, uint16_t id,
			uint16_t slot, unsigned entries)
{
	volatile struct inflight_packed *area = packed_area(inflight);
	uint16_t first = inflight->free_head;
	uint16_t e = first, last = first;
	bool wrap = false; /* of no interest here */
	unsigned i;

	area->desc[first].num = 0;
	area->desc[first].counter = inflight->counter++;
	area->desc[first].inflight = 1;
	for (i = 0; i < entries; i++) {
		struct vq_desc desc = packed_load_desc(packed_slot(vq, slot));

		area->desc[e].addr = desc.gpa;
		area->desc[e].len = desc.len;
		area->desc[e].flags = desc.flags;
		area->desc[e].id = id;
		last = e;
		e = inflight->next[e];
		packed_advance(vq, &slot, &wrap, 1);
	}
	area->desc[first].last = last;
	area->desc[first].num = (uint16_t)entries;
	area->free_head = e;
	store_fence();
	area->old_free_head = e;
	inflight->free_head = e;
	inflight->last[first] = last;
	inflight->entry[id] = first;
}

static void packed_begin(struct virtqueue *vq, struct vq_inflight *inflight)
{
	volatile struct inflight_packed *area = packed_area(inflight);
	unsigned i;

	for (i = 0; i < inflight->num_batch; i++) {
		uint16_t first = inflight->batch[i];
		uint16_t last = inflight->last[first];

		inflight->next[last] = inflight->free_head;
		area->desc[last].next = inflight->free_head;
		inflight->free_head = first;
	}
	area->free_head = inflight->free_head;
	/* The counter first: see packed_committed() for what is found after a kill in between. */
	area->used_wrap = vq->used_wrap;
	area->used_idx = vq->next_used;
}

static void packed_end(struct virtqueue *vq, struct vq_inflight *inflight)
{
	volatile struct inflight_packed *area = packed_area(inflight);
	unsigned i;

	for (i = 0; i < inflight->num_batch; i++)
		area->desc[inflight->batch[i]].inflight = 0;
	store_fence();
	area->old_free_head = inflight->free_head;
	area->old_used_wrap = vq->used_wrap;
	area->old_used_idx = vq->next_used;
}

/* --- both --- */

void inflight_note_pop(struct virtqueue *vq, const struct vq_chain *chain, uint16_t slot,
		       unsigned entries)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	volatile struct inflight_split *area = split_area(inflight);

	inflight->popped++;
	if (vq->packed) {
		packed_note(vq, inflight, chain->head, slot, entries);
		return;
	}
	area->desc[chain->head].counter = inflight->counter++;
	store_fence();
	area->desc[chain->head].inflight = 1;
}

void inflight_note_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	uint16_t first;

	if (!vq->packed) {
		split_area(inflight)->desc[chain->head].inflight = 0;
		return;
	}
	first = inflight->entry[chain->head];
	inflight->next[inflight->last[first]] = inflight->free_head;
	inflight->free_head = first;
	packed_area(inflight)->desc[first].inflight = 0;
	store_fence();
	packed_area(inflight)->desc[inflight->last[first]].next =
		inflight->next[inflight->last[first]];
	packed_area(inflight)->free_head = first;
	packed_area(inflight)->old_free_head = first;
}

void inflight_note_push(struct virtqueue *vq, uint16_t head)
{
	struct vq_inflight *inflight = &vq->track->inflight;

	inflight->batch[inflight->num_batch++] = vq->packed ? inflight->entry[head] : head;
	inflight->batch_entries = (uint16_t)(inflight->batch_entries + vq->in_flight[head]);
}

void inflight_batch_begin(struct virtqueue *vq)
{
	struct vq_inflight *inflight = &vq->track->inflight;

	if (vq->packed)
		packed_begin(vq, inflight);
	else
		split_begin(inflight);
	store_fence();
}

void inflight_batch_end(struct virtqueue *vq)
{
	struct vq_inflight *inflight = &vq->track->inflight;

	store_fence();
	if (vq->packed)
		packed_end(vq, inflight);
	else
		split_end(vq, inflight);
	inflight->num_batch = inflight->batch_entries = 0;
}

/* --- again --- */

/* packed_collect_noted - the chain as it was noted: the ring's own descriptors may be gone. */
static void packed_collect_noted(struct virtqueue *vq, uint16_t first, unsigned entries,
				 struct vq_chain *chain)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	volatile struct inflight_packed *area = packed_area(inflight);
	struct vq_walk walk = vq_walk_begin(chain);
	struct vq_desc desc = {0};
	uint16_t e = first;
	unsigned i;

	for (i = 0; i < entries; i++) {
		desc = (struct vq_desc){
			.gpa = area->desc[e].addr,
			.len = area->desc[e].len,
			.flags = area->desc[e].flags,
			.tag = chain->head,
		};
		if (desc.flags & VRING_DESC_F_INDIRECT)
			walk.error = VQ_CHAIN_INDIRECT;
		else
			vq_walk_add(vq, &walk, chain, desc);
		e = inflight->next[e];
	}
	if (desc.flags & VRING_DESC_F_INDIRECT && entries == 1)
		packed_collect_indirect(vq, desc, chain);
	else
		vq_walk_end(vq, &walk, chain, desc);
}

int inflight_pop_resubmit(struct virtqueue *vq, struct vq_chain *chain)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	uint16_t head;

	if (vq->broken)
		return 0;
	head = inflight->resubmit[inflight->next_resubmit++];
	vq->num_resubmit--;
	chain->head = head;
	if (vq->packed)
		packed_collect_noted(vq, inflight->entry[head], vq->in_flight[head], chain);
	else
		split_collect(vq, head, chain);
	return 1;
}

bool inflight_unpop_resubmit(struct virtqueue *vq)
{
	struct vq_inflight *inflight = &vq->track->inflight;

	/* Those came first, so one of them is given back only when none of the others is left. */
	if (inflight->popped) {
		inflight->popped--;
		return false;
	}
	inflight->next_resubmit--;
	vq->num_resubmit++;
	return true;
}
