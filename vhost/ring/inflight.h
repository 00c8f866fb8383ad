/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.h - the in-flight region: what survives this process and tells the next one which
 * requests were taken and not answered (vhost-user, "Inflight I/O tracking").
 * Layer L3. Recovery on the control thread while the queue is stopped, the rest on the queue's.
 *
 * Theory of operation. Every queue has an area in a file that the front-end keeps. A chain is noted
 * in it when popped. To publish a batch: link it into the area, make it visible to the driver, then
 * clear its marks. A kill between any two stores leaves enough to tell, from the used index (split)
 * or from the flags of the batch's first slot (packed), whether the driver can have seen it.
 *
 * The area is shared, so at run time nothing depends on what is in it: what is needed back (the
 * packed free list) is kept in private memory too. A chain served again is read from its copy here
 * and checked like any other. Recovery reads every word once and believes none.
 */
#ifndef RINGSIDE_RING_INFLIGHT_H
#define RINGSIDE_RING_INFLIGHT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtqueue;
struct vq_chain;
struct vq_setup;

#define INFLIGHT_VERSION 1

struct inflight_split_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* in the list of the last batch */
	uint64_t counter; /* order in which chains were taken */
};
static_assert(sizeof(struct inflight_split_entry) == 16, "as the protocol has it");

struct inflight_split {
	uint64_t features; /* 0 */
	uint16_t version; /* 0: never used */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_entry desc[]; /* by head */
};
static_assert(offsetof(struct inflight_split, desc) == 16, "as the protocol has it");

struct inflight_packed_entry {
	uint8_t inflight; /* this and last, num, counter: of a chain's first entry only */
	uint8_t padding;
	uint16_t next; /* in the chain, or in the free list */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id; /* from here: a copy of the descriptor, which a used element may overwrite */
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};
static_assert(sizeof(struct inflight_packed_entry) == 32, "as the protocol has it");

struct inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t
		old_free_head; /* as of the last batch that is complete, like the other old_ ones */
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint8_t padding[10];
	struct inflight_packed_entry desc[];
};
static_assert(offsetof(struct inflight_packed, desc) == 32, "as the protocol has it");

/* vq_inflight_bytes - of the area of one queue of @size entries. */
uint64_t vq_inflight_bytes(bool packed, unsigned size);

/* vq_inflight_clear - make @area, of which @bytes count, one that was never used, of zeroes: where
 * the ring stands is then what SET_VRING_BASE says. For a queue with nothing in flight. */
void vq_inflight_clear(void *area, uint64_t bytes);

/* One queue's bookkeeping. The arrays are private and have an item for each ring entry. */
struct vq_inflight {
	void *area; /* NULL: nothing is recorded */
	uint64_t counter; /* of the next chain */
	uint16_t *batch; /* heads (split) or entries (packed) pushed since the last publish */
	uint16_t num_batch;
	uint16_t batch_entries; /* ring entries of those; packed: not in the free list yet */
	uint16_t free_head; /* packed: of the list in next[] */
	uint16_t *next; /* packed, by entry */
	uint16_t *last; /* packed, by first entry of a chain */
	uint16_t *entry; /* packed: first entry of the chain in flight, by buffer id */

	uint16_t *resubmit; /* heads or ids to be served again, oldest first */
	uint16_t next_resubmit; /* vq->num_resubmit are left from here on */
	uint64_t popped; /* chains taken since from the ring itself, and not given back */
};

/* inflight_alloc - private arrays for @size entries. Return: 0 or -ENOMEM. */
int inflight_alloc(struct vq_inflight *inflight, unsigned size);

void inflight_free(struct vq_inflight *inflight);

/* inflight_note_pop - @chain was taken; packed: its @entries descriptors begin at slot @slot. */
void inflight_note_pop(struct virtqueue *vq, const struct vq_chain *chain, uint16_t slot,
		       unsigned entries);

/* inflight_note_unpop - the chain popped last is given back untouched. */
void inflight_note_unpop(struct virtqueue *vq, const struct vq_chain *chain);

/* inflight_note_push - the chain @head is part of the next batch. */
void inflight_note_push(struct virtqueue *vq, uint16_t head);

/* inflight_batch_begin, inflight_batch_end - before and after the driver can see the batch. */
void inflight_batch_begin(struct virtqueue *vq);
void inflight_batch_end(struct virtqueue *vq);

/* inflight_pop_resubmit - as vq_pop(), for a chain that the process before had taken. */
int inflight_pop_resubmit(struct virtqueue *vq, struct vq_chain *chain);

/* inflight_unpop_resubmit - put it back, if the chain popped last was one. Return: was it? */
bool inflight_unpop_resubmit(struct virtqueue *vq);

/*
 * inflight_recover - read the area of @vq, whose ring is attached: indices, positions and the
 * chains to resubmit come from it, and where it was never used, packed, from the base.
 * @base_rc: was that one right?
 * Return: 0, @base_rc, -ENOMEM, or -EBADMSG when the area makes no sense; vq->refused says why.
 */
int inflight_recover(struct virtqueue *vq, int base_rc);

#endif
