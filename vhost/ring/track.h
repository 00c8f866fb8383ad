/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.h - what some queues have to have kept track of: order, dirty pages, chains in flight.
 * Layer L3, queue thread; set up by the control thread. Out of line: where none of it was asked
 * for, all a queue pays is a look at vq->track.
 */
#ifndef RINGSIDE_RING_TRACK_H
#define RINGSIDE_RING_TRACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhost/memory/dirty.h"
#include "vhost/ring/inflight.h"

/* A chain in the order it was taken, for VIRTIO_F_IN_ORDER (virtio 1.3, sections 2.7.9, 2.8.8). */
struct vq_ordered {
	uint16_t head;
	bool done; /* pushed, and waits for those before it */
	bool readable_only; /* packed: may be skipped, its length says nothing */
	uint32_t written_bytes;
};

struct vq_track {
	struct vq_inflight inflight;

	/* In order. */
	bool in_order;
	bool run; /* packed: a used element is held back, for a later one may stand for it too: */
	bool run_skippable;
	uint16_t run_head;
	uint16_t run_entries;
	uint32_t run_written_bytes;
	uint16_t oldest; /* place in order[], which is a ring of the chains in flight */
	uint16_t num_ordered;
	struct vq_ordered *order;
	uint16_t *place; /* in order[], by head */

	/* Dirty log. */
	const struct mem_dirty *dirty; /* NULL: none is kept */
	bool dirty_ring;
	uint16_t batch_slot; /* used index, or packed: slot, up to which ring writes are marked */
	uint16_t max_iov; /* of a chain */
	uint16_t *num_written; /* writable iovecs, by head */
	struct iovec *written; /* max_iov for each head */
	uint64_t written_map_bytes;
	uint64_t used_gpa;
	uint64_t desc_gpa; /* packed */
};

/* track_attach - begin to keep what @setup asks for, on a queue that is otherwise set up; recovers
 * what was in flight. vq->track stays NULL where nothing is to be kept. @base_rc: 0, or why the
 * base is wrong, which does not matter where the in-flight area knows better.
 * Return: 0, @base_rc, -ENOMEM, -EBADMSG (the area makes no sense: vq->refused). Control thread. */
int track_attach(struct virtqueue *vq, const struct vq_setup *setup, int base_rc);

void track_detach(struct virtqueue *vq);

/* track_pop - @chain was taken; packed: its @entries descriptors begin at slot @slot. */
void track_pop(struct virtqueue *vq, const struct vq_chain *chain, uint16_t slot, unsigned entries);

/* track_pop_again - vq_pop() while chains of the process before are left. */
int track_pop_again(struct virtqueue *vq, struct vq_chain *chain);

/* track_unpop - @chain is given back. Return: true if it came from track_pop_again(), so that the
 * ring itself has nothing to take back. */
bool track_unpop(struct virtqueue *vq, const struct vq_chain *chain);

/* track_push, track_publish - vq_push() and vq_publish() of a queue that is kept track of. */
void track_push(struct virtqueue *vq, uint16_t head, uint32_t written_bytes);
void track_publish(struct virtqueue *vq);

/* track_event - the field that asks the driver for kicks was written. */
void track_event(struct virtqueue *vq);

#endif
