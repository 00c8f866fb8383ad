/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.c - order, dirty pages and chains in flight, kept for the queues that have to.
 * Layer L3, queue thread; set up and taken down by the control thread.
 */
#include "vhost/ring/track.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vhost/ring/virtqueue.h"

/* --- dirty log --- */

/* What a chain's writable buffers are has to be known when it is pushed, and the device may have
 * worked on its own iovecs by then. */
static void dirty_note(struct vq_track *track, const struct vq_chain *chain)
{
	struct iovec *written = track->written + (size_t)chain->head * track->max_iov;
	unsigned i, n = chain->num_in;

	assert(chain->num_out + n <= track->max_iov);
	for (i = 0; i < n; i++)
		written[i] = chain->iov[chain->num_out + i];
	if (chain->error && chain->last_byte) {
		written[0] = (struct iovec){chain->last_byte, 1};
		n = 1;
	}
	track->num_written[chain->head] = (uint16_t)n;
}

/*
 * dirty_chain - the device is done with the chain @head. All that it could write is marked, not
 * only what the used length counts: a request that failed may have written on the way, and a
 * block request's status stands at the very end.
 */
static void dirty_chain(struct virtqueue *vq, uint16_t head)
{
	struct vq_track *track = vq->track;
	const struct iovec *written = track->written + (size_t)head * track->max_iov;
	unsigned i;

	for (i = 0; i < track->num_written[head]; i++)
		mem_dirty_mark(track->dirty, mem_gpa_of(vq->mem, written[i].iov_base),
			       written[i].iov_len);
}

/* dirty_used - the used elements since the last batch, and the index behind them. */
static void dirty_used(struct virtqueue *vq)
{
	struct vq_track *track = vq->track;
	uint16_t slot = track->batch_slot;

	for (; slot != vq->published; slot++)
		mem_dirty_mark(track->dirty,
			       track->used_gpa + offsetof(struct vring_used, ring) +
				       (slot & vq->mask) * sizeof(struct vring_used_elem),
			       sizeof(struct vring_used_elem));
	mem_dirty_mark(track->dirty, track->used_gpa, offsetof(struct vring_used, ring));
	track->batch_slot = slot;
}

/* dirty_slots - packed: the slots written since the last batch. */
static void dirty_slots(struct virtqueue *vq)
{
	const uint64_t bytes = sizeof(struct vring_packed_desc);
	struct vq_track *track = vq->track;
	uint16_t from = track->batch_slot, to = vq->next_used;

	if (from < to) {
		mem_dirty_mark(track->dirty, track->desc_gpa + from * bytes, (to - from) * bytes);
	} else {
		mem_dirty_mark(track->dirty, track->desc_gpa + from * bytes,
			       (vq->size - from) * bytes);
		mem_dirty_mark(track->dirty, track->desc_gpa, to * bytes);
	}
	track->batch_slot = to;
}

void track_event(struct virtqueue *vq)
{
	const struct vq_track *track = vq->track;

	if (!track->dirty_ring)
		return;
	if (vq->packed) {
		mem_dirty_mark(track->dirty, track->used_gpa,
			       sizeof(struct vring_packed_desc_event));
		return;
	}
	mem_dirty_mark(track->dirty, track->used_gpa, offsetof(struct vring_used, ring));
	mem_dirty_mark(track->dirty,
		       track->used_gpa + offsetof(struct vring_used, ring) +
			       vq->size * sizeof(struct vring_used_elem),
		       sizeof(uint16_t));
}

/* --- in order --- */

/*
 * batch_add - the chain @head is part of the next batch. A head is free once it was pushed, and a
 * driver may offer it again before the publish, so a batch can be longer than the ring: it is
 * then published in between.
 */
static void batch_add(struct virtqueue *vq, uint16_t head)
{
	if (!vq->track->inflight.area)
		return;
	if (unlikely(vq->track->inflight.num_batch == vq->size))
		track_publish(vq);
	inflight_note_push(vq, head);
}

/* stage - the chain is to be seen by the driver with the next batch. */
static void stage(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	batch_add(vq, head);
	if (vq->packed)
		packed_push(vq, head, written_bytes);
	else
		split_push(vq, head, written_bytes);
}

/* run_flush - packed: one used element, for the whole run. */
static void run_flush(struct virtqueue *vq)
{
	struct vq_track *track = vq->track;

	if (track->run)
		packed_stage(vq, track->run_head, track->run_written_bytes, track->run_entries);
	track->run = false;
}

/*
 * run_add - packed: the used element of a chain may stand for those before it, whose lengths the
 * driver then does not learn. So only chains without a writable part are skipped: what was
 * written to others has to be said, and there are drivers that look at each of those.
 */
static void run_add(struct virtqueue *vq, const struct vq_ordered *next)
{
	struct vq_track *track = vq->track;
	unsigned entries;

	batch_add(vq, next->head);
	entries = vq_give_head(vq, next->head);
	vq->room = (uint16_t)(vq->room + entries);
	if (track->run && !track->run_skippable)
		run_flush(vq);
	if (!track->run)
		track->run_entries = 0;
	track->run = true;
	track->run_skippable = next->readable_only;
	track->run_head = next->head;
	track->run_written_bytes = next->written_bytes;
	track->run_entries = (uint16_t)(track->run_entries + entries);
}

static uint16_t order_place(const struct virtqueue *vq, unsigned nth)
{
	unsigned place = vq->track->oldest + nth;

	return (uint16_t)(place < vq->size ? place : place - vq->size);
}

static void order_pop(struct virtqueue *vq, const struct vq_chain *chain)
{
	struct vq_track *track = vq->track;
	uint16_t place = order_place(vq, track->num_ordered++);

	track->place[chain->head] = place;
	track->order[place] = (struct vq_ordered){
		.head = chain->head,
		.readable_only = !chain->num_in && !chain->error,
	};
}

/* order_push - chains are staged up to the first that is not done yet. */
static void order_push(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	struct vq_track *track = vq->track;
	struct vq_ordered *chain = &track->order[track->place[head]];

	chain->written_bytes = written_bytes;
	chain->done = true;
	while (track->num_ordered && track->order[track->oldest].done) {
		chain = &track->order[track->oldest];
		track->oldest = order_place(vq, 1);
		track->num_ordered--;
		if (vq->packed)
			run_add(vq, chain);
		else
			stage(vq, chain->head, chain->written_bytes);
	}
}

/* --- all of it --- */

/* taken - what is to be known of every chain, whether it is taken for the first time or not. */
static void taken(struct virtqueue *vq, const struct vq_chain *chain)
{
	if (vq->track->dirty)
		dirty_note(vq->track, chain);
	if (vq->track->in_order)
		order_pop(vq, chain);
}

void track_pop(struct virtqueue *vq, const struct vq_chain *chain, uint16_t slot, unsigned entries)
{
	const struct vq_inflight *inflight = &vq->track->inflight;

	/* A driver that fills slots again before they were published has more chains than the area
	 * has entries: it gets some back first. */
	if (inflight->area && vq->packed && unlikely(vq->room < inflight->batch_entries))
		track_publish(vq);
	if (inflight->area)
		inflight_note_pop(vq, chain, slot, entries);
	taken(vq, chain);
}

int track_pop_again(struct virtqueue *vq, struct vq_chain *chain)
{
	if (!inflight_pop_resubmit(vq, chain))
		return 0;
	taken(vq, chain);
	return 1;
}

bool track_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	struct vq_track *track = vq->track;

	if (track->in_order)
		track->num_ordered--;
	if (!track->inflight.area)
		return false;
	if (inflight_unpop_resubmit(vq))
		return true;
	inflight_note_unpop(vq, chain);
	return false;
}

void track_push(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	if (vq->track->dirty)
		dirty_chain(vq, head);
	if (vq->track->in_order)
		order_push(vq, head, written_bytes);
	else
		stage(vq, head, written_bytes);
}

void track_publish(struct virtqueue *vq)
{
	struct vq_track *track = vq->track;

	run_flush(vq);
	if (vq->packed ? !vq->staged : vq->published == vq->next_used)
		return;
	if (track->inflight.area)
		inflight_batch_begin(vq);
	if (vq->packed)
		packed_publish(vq);
	else
		split_publish(vq);
	if (track->inflight.area)
		inflight_batch_end(vq);
	if (!track->dirty_ring)
		return;
	if (vq->packed)
		dirty_slots(vq);
	else
		dirty_used(vq);
}

/* --- set-up --- */

static int attach_order(struct virtqueue *vq, struct vq_track *track)
{
	track->order = calloc(vq->size, sizeof(track->order[0]));
	track->place = calloc(vq->size, sizeof(track->place[0]));
	track->in_order = true;
	return track->order && track->place ? 0 : -ENOMEM;
}

static int attach_dirty(struct virtqueue *vq, struct vq_track *track, const struct vq_setup *setup)
{
	track->max_iov = setup->max_iov ? setup->max_iov : VQ_MAX_INDIRECT;
	track->num_written = calloc(vq->size, sizeof(track->num_written[0]));
	track->written_map_bytes = (uint64_t)vq->size * track->max_iov * sizeof(struct iovec);
	/* Most of it is never touched: chains are short. */
	track->written = mmap(NULL, track->written_map_bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (track->written == MAP_FAILED)
		track->written = NULL;
	track->dirty = setup->dirty;
	track->dirty_ring = setup->dirty_ring;
	track->used_gpa = setup->used_gpa;
	track->desc_gpa = mem_gpa_of(vq->mem, vq->desc);
	return track->num_written && track->written ? 0 : -ENOMEM;
}

static int attach_inflight(struct virtqueue *vq, struct vq_track *track,
			   const struct vq_setup *setup, int base_rc)
{
	int rc = inflight_alloc(&track->inflight, vq->size);

	if (rc)
		return rc;
	vq->refused = "too small for the ring";
	if (setup->inflight_bytes < vq_inflight_bytes(vq->packed, vq->size))
		return -EBADMSG;
	track->inflight.area = setup->inflight;
	return inflight_recover(vq, base_rc);
}

int track_attach(struct virtqueue *vq, const struct vq_setup *setup, int base_rc)
{
	bool in_order = setup->features & (1ull << VIRTIO_F_IN_ORDER) && !setup->uses_in_order;
	struct vq_track *track;
	int rc = 0;

	if (!in_order && !setup->dirty && !setup->inflight)
		return base_rc;
	track = calloc(1, sizeof(*track));
	if (!track)
		return -ENOMEM;
	vq->track = track;
	if (in_order)
		rc = attach_order(vq, track);
	if (!rc && setup->dirty)
		rc = attach_dirty(vq, track, setup);
	if (!rc && setup->inflight)
		rc = attach_inflight(vq, track, setup, base_rc);
	else if (!rc)
		rc = base_rc;
	track->batch_slot = vq->next_used;
	/* The recovery may have written to the ring. */
	if (!rc && track->dirty_ring && vq->packed && vq->recovered)
		mem_dirty_mark(track->dirty, track->desc_gpa,
			       vq->size * sizeof(struct vring_packed_desc));
	return rc;
}

void track_detach(struct virtqueue *vq)
{
	struct vq_track *track = vq->track;

	if (!track)
		return;
	inflight_free(&track->inflight);
	if (track->written)
		munmap(track->written, track->written_map_bytes);
	free(track->num_written);
	free(track->place);
	free(track->order);
	free(track);
	vq->track = NULL;
}
