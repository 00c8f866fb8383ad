/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover.c - read what the process before left in the in-flight area.
 * Layer L3, control thread, while the queue is stopped.
 *
 * Where the ring stands follows from the area: next available = used + in flight. The front-end's
 * base may be older, and is used only with an area in which nothing was ever noted.
 */
#include <stdlib.h>
#include <string.h>

#include "vhost/ring/virtqueue.h"

struct noted {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	const struct noted *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return x->head < y->head ? -1 : x->head > y->head;
}

static const volatile uint64_t *counter_of(const struct virtqueue *vq, unsigned i)
{
	const struct inflight_packed *packed = vq->track->inflight.area;
	const struct inflight_split *split = vq->track->inflight.area;

	return vq->packed ? &packed->desc[i].counter : &split->desc[i].counter;
}

/* largest_counter - of all chains ever noted: later ones come after them. */
static uint64_t largest_counter(const struct virtqueue *vq)
{
	uint64_t largest = 0;
	unsigned i;

	for (i = 0; i < vq->size; i++) {
		uint64_t counter = *counter_of(vq, i);

		largest = max_of(largest, counter);
	}
	return largest;
}

/* set_resubmit - the @n chains of @list, oldest first.
 * Syscalls: sysinfo: qsort(3) of more than 1 KiB asks how much memory there is */
static void set_resubmit(struct virtqueue *vq, struct noted *list, unsigned n)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	unsigned i;

	qsort(list, n, sizeof(list[0]), by_counter);
	for (i = 0; i < n; i++)
		inflight->resubmit[i] = list[i].head;
	inflight->next_resubmit = 0;
	vq->num_resubmit = (uint16_t)n;
}

/* --- split --- */

/* Marks of the last batch may be left over from after the driver could see it. */
static void split_finish_batch(struct virtqueue *vq, volatile struct inflight_split *area,
			       uint16_t used)
{
	unsigned left = min_of((unsigned)(uint16_t)(used - area->used_idx), (unsigned)vq->size);
	uint16_t head = area->last_batch_head;

	while (left-- && head < vq->size) {
		area->desc[head].inflight = 0;
		head = area->desc[head].next;
	}
	area->used_idx = used;
}

static int split_recover(struct virtqueue *vq, struct noted *list)
{
	volatile struct inflight_split *area = vq->track->inflight.area;
	uint16_t used = guest_load16(&vq->used->idx);
	uint16_t avail = guest_load16(&vq->avail->idx);
	unsigned i, n = 0;

	split_finish_batch(vq, area, used);
	for (i = 0; i < vq->size; i++) {
		if (area->desc[i].inflight != 1)
			continue;
		vq->in_flight[i] = 1;
		list[n++] = (struct noted){.counter = area->desc[i].counter, .head = (uint16_t)i};
	}
	if ((uint16_t)(avail - used) < n) {
		vq->refused = "more chains in flight than the driver made available";
		return -EBADMSG;
	}
	vq->next_avail = vq->avail_idx = (uint16_t)(used + n);
	vq->next_used = vq->published = vq->signalled = used;
	set_resubmit(vq, list, n);
	return 0;
}

/* --- packed --- */

struct place {
	uint16_t slot;
	bool wrap;
};

/*
 * packed_committed - where the used position and the free list were when the last batch was
 * complete: a batch under way counts if the driver can have seen its first element.
 */
static struct place packed_committed(const struct virtqueue *vq,
				     const volatile struct inflight_packed *area,
				     uint16_t *free_head)
{
	struct place old = {area->old_used_idx, area->old_used_wrap & 1};
	struct place new = {area->used_idx, area->used_wrap & 1};
	bool one_round = old.wrap == new.wrap;
	uint16_t flags;

	*free_head = area->old_free_head;
	if (old.slot >= vq->size || (one_round && old.slot == new.slot))
		return old;
	/* No batch goes backwards: the killed process had committed the new wrap counter, but not
	 * the index yet. The old slot says nothing by now, for the driver may have filled it again;
	 * nor would the new one if the index came first, for descriptors in the middle of a chain
	 * are left as they were. */
	if (one_round && new.slot < old.slot) {
		*free_head = area->free_head;
		return new;
	}
	flags = guest_load16(&packed_slot(vq, old.slot)->flags);
	if (packed_is_available(flags, old.wrap))
		return old;
	*free_head = area->free_head;
	return new;
}

/* packed_clear_free - what is in the free list is not in flight, whatever its mark says. */
static void packed_clear_free(const struct virtqueue *vq, volatile struct inflight_packed *area,
			      uint16_t e)
{
	unsigned left = vq->size;

	while (left-- && e < vq->size) {
		area->desc[e].inflight = 0;
		e = area->desc[e].next;
	}
}

/*
 * packed_take_chain - the chain whose first entry is @first: its entries must be no other chain's
 * (@owned), its id no other's. Return: its entries, or 0 when it makes no sense.
 */
static unsigned packed_take_chain(struct virtqueue *vq, volatile struct inflight_packed *area,
				  uint16_t first, bool *owned, uint16_t *id)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	unsigned i, num = area->desc[first].num;
	uint16_t e = first, last = first;

	if (!num || num > vq->size)
		return 0;
	for (i = 0; i < num; i++) {
		if (e >= vq->size || owned[e])
			return 0;
		owned[e] = true;
		last = e;
		inflight->next[last] = e = area->desc[last].next;
	}
	*id = area->desc[last].id;
	if (last != area->desc[first].last || *id >= vq->size || vq->in_flight[*id])
		return 0;
	inflight->last[first] = last;
	inflight->entry[*id] = first;
	vq->in_flight[*id] = (uint16_t)num;
	return num;
}

/* packed_rebuild_free - every entry that no chain has, in order. */
static void packed_rebuild_free(struct virtqueue *vq, volatile struct inflight_packed *area,
				const bool *owned)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	uint16_t head = vq->size;
	unsigned i;

	for (i = vq->size; i-- > 0;) {
		if (owned[i])
			continue;
		inflight->next[i] = head;
		area->desc[i].next = head;
		head = (uint16_t)i;
	}
	inflight->free_head = head;
	area->free_head = area->old_free_head = head;
}

/* packed_show_available - used elements of a batch that was never begun are in slots that the
 * driver will look at once it has taken those before: make them descriptors again. */
static void packed_show_available(struct virtqueue *vq, struct place at, unsigned entries)
{
	while (entries--) {
		struct vring_packed_desc *slot = packed_slot(vq, at.slot);
		uint16_t flags =
			guest_load16(&slot->flags) & (uint16_t) ~(PACKED_AVAIL | PACKED_USED);

		guest_store16(&slot->flags,
			      (uint16_t)(flags | (at.wrap ? PACKED_AVAIL : PACKED_USED)));
		packed_advance(vq, &at.slot, &at.wrap, 1);
	}
}

static void packed_set_places(struct virtqueue *vq, volatile struct inflight_packed *area,
			      struct place used, unsigned entries)
{
	uint16_t slot = used.slot;
	bool wrap = used.wrap;

	vq->next_used = used.slot;
	vq->used_wrap = used.wrap;
	packed_advance(vq, &slot, &wrap, entries);
	vq->next_avail = slot;
	vq->avail_wrap = wrap;
	vq->room = (uint16_t)(vq->size - entries);
	vq->staged = false;
	vq->unsignalled = 0;
	/* One of the pairs is as it should be already; in this order, so is what a kill on the way
	 * leaves of the other: see packed_committed(). */
	area->used_idx = used.slot;
	area->used_wrap = used.wrap;
	area->old_used_wrap = used.wrap;
	area->old_used_idx = used.slot;
}

static int packed_recover(struct virtqueue *vq, struct noted *list)
{
	volatile struct inflight_packed *area = vq->track->inflight.area;
	bool *owned = calloc(vq->size, sizeof(*owned));
	unsigned i, n = 0, entries = 0;
	uint16_t free_head, id;
	struct place used;
	int rc = -EBADMSG;

	if (!owned)
		return -ENOMEM;
	used = packed_committed(vq, area, &free_head);
	vq->refused = "used index outside the ring";
	if (used.slot >= vq->size)
		goto out;
	packed_clear_free(vq, area, free_head);
	vq->refused = "a chain in flight that is none";
	for (i = 0; i < vq->size; i++) {
		unsigned num;

		if (area->desc[i].inflight != 1)
			continue;
		num = packed_take_chain(vq, area, (uint16_t)i, owned, &id);
		if (!num)
			goto out;
		entries += num;
		list[n++] = (struct noted){.counter = area->desc[i].counter, .head = id};
	}
	packed_rebuild_free(vq, area, owned);
	packed_set_places(vq, area, used, entries);
	packed_show_available(vq, used, entries);
	set_resubmit(vq, list, n);
	rc = 0;
out:
	free(owned);
	return rc;
}

/* packed_begin - the ring stands where the base said, and every entry is free. */
static void packed_begin(struct virtqueue *vq, volatile struct inflight_packed *area)
{
	struct vq_inflight *inflight = &vq->track->inflight;
	unsigned i;

	for (i = 0; i < vq->size; i++)
		inflight->next[i] = area->desc[i].next = (uint16_t)(i + 1); /* the last leads out */
	inflight->free_head = 0;
	area->used_idx = area->old_used_idx = vq->next_used;
	area->used_wrap = area->old_used_wrap = vq->used_wrap;
}

/* --- both --- */

static int recover(struct virtqueue *vq)
{
	struct noted *list = calloc(vq->size, sizeof(*list));
	int rc;

	if (!list)
		return -ENOMEM;
	rc = vq->packed ? packed_recover(vq, list) : split_recover(vq, list);
	free(list);
	return rc;
}

/* begin - an area that was never used. Its version is written last: from then on it counts. */
static void begin(struct virtqueue *vq)
{
	volatile struct inflight_split *area = vq->track->inflight.area;

	vq_inflight_clear(vq->track->inflight.area, vq_inflight_bytes(vq->packed, vq->size));
	if (vq->packed)
		packed_begin(vq, vq->track->inflight.area);
	area->desc_num = vq->size; /* the packed one begins alike */
	__atomic_thread_fence(__ATOMIC_RELEASE); /* for the next process, as in inflight.c */
	area->version = INFLIGHT_VERSION;
}

int inflight_recover(struct virtqueue *vq, int base_rc)
{
	const volatile struct inflight_split *area = vq->track->inflight.area;
	uint16_t version = area->version;

	if (version > INFLIGHT_VERSION) {
		vq->refused = "of a version that is not known";
		return -EBADMSG;
	}
	if (!version && vq->packed && base_rc)
		return base_rc;
	if (!version)
		begin(vq);
	if (area->desc_num != vq->size) {
		vq->refused = "of another ring size";
		return -EBADMSG;
	}
	vq->recovered = version;
	vq->track->inflight.counter = largest_counter(vq) + 1;
	return recover(vq);
}
