/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * burst.h - many small chains at a time: those of one buffer each, and chains used in the order
 * they were taken. Layer L3, queue thread. Included by virtqueue.h only.
 *
 * What differs from vq_pop() and vq_push() is only what it costs: the loops keep indices and the
 * region last hit in registers, and all that is not plain is left to the general functions.
 */
#ifndef RINGSIDE_RING_BURST_H
#define RINGSIDE_RING_BURST_H

#ifndef RINGSIDE_RING_VIRTQUEUE_H
#error "include vhost/ring/virtqueue.h"
#endif

/* A chain of one buffer. */
struct vq_buffer {
	uint8_t *host;
	uint32_t len; /* of it; to vq_push_buffers(): bytes written */
	uint16_t head;
};

/* What a burst expects of its chains, and what it finds. */
struct vq_singles {
	struct vq_buffer *buffers;
	unsigned max;
	uint16_t direction; /* 0, or VRING_DESC_F_WRITE */
	bool other; /* out: it stopped at a chain that vq_pop() has to take */
};

/* What is asked for ahead lies in the other CPU's cache: descriptors by the line, of a buffer its
 * first two, since a header stands in front of what begins at a line. */
#define DESCS_A_LINE (CACHELINE_BYTES / sizeof(struct vring_desc))

/* prefetch_to_write - have the line to ourselves; compilers know this for some CPUs only, but others
 * take it for nothing to be done. */
static inline void prefetch_to_write(const uint8_t *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" ::"m"(*p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* prefetch_table - @n descriptors from @first on, if drivers use them in order, as most do. */
static inline void prefetch_table(const struct virtqueue *vq, unsigned first, unsigned n)
{
	unsigned i;

	for (i = DESCS_A_LINE; i < n; i += DESCS_A_LINE)
		if (likely(first + i < vq->size))
			__builtin_prefetch(&vq->desc[first + i]);
}

/* single_at - host address of a buffer that is whole in one region, asked for ahead; or NULL. */
static inline uint8_t *single_at(const struct virtqueue *vq, struct mem_cache *cache,
				 struct vq_desc desc, bool writable)
{
	uint64_t offset = desc.gpa - cache->gpa; /* wraps to something huge below the region */
	uint8_t *host;

	/* Where the first holds, the sum of the second does not wrap. */
	if (likely(offset < cache->size && offset + desc.len <= cache->size))
		host = cache->host + offset;
	else
		host = mem_cache_fill(vq->mem, cache, desc.gpa, desc.len);
	if (unlikely(!host || !desc.len))
		return NULL;
	if (writable) {
		prefetch_to_write(host);
		prefetch_to_write(host + CACHELINE_BYTES);
	} else {
		__builtin_prefetch(host);
		__builtin_prefetch(host + CACHELINE_BYTES);
	}
	return host;
}

static inline __attribute__((always_inline)) unsigned split_pop_singles(struct virtqueue *vq,
									struct vq_singles *s)
{
	const uint16_t want = VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE;
	unsigned waiting = (uint16_t)(vq->avail_idx - vq->next_avail);
	const uint16_t *ring = vq->avail->ring;
	const struct vring_desc *table = vq->desc;
	uint16_t *in_flight = vq->in_flight;
	struct mem_cache cache = vq->cache;
	uint16_t next = vq->next_avail;
	const uint16_t mask = vq->mask;
	unsigned i, n;

	if (waiting < s->max)
		waiting = split_refresh(vq);
	n = min_of(waiting, s->max);
	if (n)
		prefetch_table(vq, guest_load16(&ring[next & mask]), n);
	for (i = 0; i < n; i++) {
		uint16_t head = guest_load16(&ring[(uint16_t)(next + i) & mask]);
		struct vq_desc desc;
		uint8_t *host;

		if (unlikely(head > mask || in_flight[head]))
			break;
		desc = split_load_desc(&table[head]);
		if (unlikely((desc.flags & want) != s->direction))
			break;
		host = single_at(vq, &cache, desc, s->direction);
		if (unlikely(!host))
			break;
		in_flight[head] = 1;
		s->buffers[i] = (struct vq_buffer){host, desc.len, head};
	}
	vq->cache = cache;
	vq->next_avail = (uint16_t)(next + i);
	s->other = i < n;
	return i;
}

static inline __attribute__((always_inline)) unsigned packed_pop_singles(struct virtqueue *vq,
									 struct vq_singles *s)
{
	const uint16_t mask = PACKED_AVAIL | PACKED_USED | VRING_DESC_F_NEXT |
			      VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE;
	uint16_t want = (uint16_t)((vq->avail_wrap ? PACKED_AVAIL : PACKED_USED) | s->direction);
	const struct vring_packed_desc *slots = packed_slot(vq, 0);
	unsigned n = min_of(s->max, (unsigned)vq->room);
	uint16_t *in_flight = vq->in_flight;
	struct mem_cache cache = vq->cache;
	const uint16_t size = vq->size;
	unsigned slot = vq->next_avail;
	unsigned i;

	/* Where there is no room, the general function says what is wrong. */
	s->other = n < s->max;
	if (packed_has_next(vq))
		prefetch_table(vq, slot, n);
	for (i = 0; i < n; i++) {
		uint64_t word = packed_load_word(&slots[slot]);
		uint16_t flags = (uint16_t)(word >> 48);
		struct vq_desc desc;
		uint8_t *host;

		if ((flags & mask) != want) {
			s->other = packed_is_available(flags, want & PACKED_AVAIL);
			break;
		}
		/* Pairs with the driver's write barrier before it sets the flags. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		desc = packed_desc(&slots[slot], word);
		host = single_at(vq, &cache, desc, s->direction);
		if (unlikely(!host || desc.tag >= size || in_flight[desc.tag])) {
			s->other = true;
			break;
		}
		in_flight[desc.tag] = 1;
		s->buffers[i] = (struct vq_buffer){host, desc.len, desc.tag};
		if (unlikely(++slot == size)) {
			slot = 0;
			want ^= PACKED_AVAIL | PACKED_USED;
		}
	}
	vq->cache = cache;
	vq->next_avail = (uint16_t)slot;
	vq->avail_wrap = want & PACKED_AVAIL;
	vq->room = (uint16_t)(vq->room - i);
	return i;
}

/*
 * vq_pop_singles - take up to s->max (<= VQ_MAX_BURST) chains that have one buffer each, in
 * s->direction, as long as nothing else comes: other chains, and all where something is kept track
 * of, are for vq_pop(). Return: how many are in s->buffers.
 */
static inline __attribute__((always_inline)) unsigned vq_pop_singles(struct virtqueue *vq,
								     struct vq_singles *s)
{
	if (unlikely(vq->track || vq->broken)) {
		s->other = !vq->broken;
		return 0;
	}
	return vq->packed ? packed_pop_singles(vq, s) : split_pop_singles(vq, s);
}

/* vq_unpop_singles - put the last @n of a burst back, as if they had never been taken. */
static inline void vq_unpop_singles(struct virtqueue *vq, const struct vq_buffer *last, unsigned n)
{
	while (n-- > 0) {
		const struct vq_chain chain = {.head = (last--)->head};

		if (vq->packed)
			packed_unpop(vq, &chain);
		else
			split_unpop(vq, &chain);
	}
}

static inline void split_push_singles(struct virtqueue *vq, const struct vq_buffer *buffers,
				      unsigned n)
{
	struct vring_used_elem *ring = vq->used->ring;
	uint16_t *in_flight = vq->in_flight;
	const uint16_t next = vq->next_used, mask = vq->mask;
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t head = buffers[i].head;

		in_flight[head] = 0;
		guest_store64(&ring[(uint16_t)(next + i) & mask],
			      (uint64_t)buffers[i].len << 32 | head);
	}
	vq->next_used = (uint16_t)(next + n);
}

static inline uint16_t packed_used_flags(bool wrap, uint32_t written_bytes)
{
	return (uint16_t)((wrap ? PACKED_AVAIL | PACKED_USED : 0) |
			  (written_bytes ? VRING_DESC_F_WRITE : 0));
}

static inline void packed_push_singles(struct virtqueue *vq, const struct vq_buffer *buffers,
				       unsigned n)
{
	struct vring_packed_desc *slots = packed_slot(vq, 0);
	uint16_t *in_flight = vq->in_flight;
	const uint16_t size = vq->size;
	unsigned i, slot;
	bool wrap;

	if (!n)
		return;
	/* The first of a batch is held back (packed_stage()). */
	if (!vq->staged) {
		packed_push(vq, buffers->head, buffers->len);
		buffers++;
		n--;
	}
	slot = vq->next_used;
	wrap = vq->used_wrap;
	for (i = 0; i < n; i++) {
		uint16_t head = buffers[i].head;
		uint32_t len = buffers[i].len;

		in_flight[head] = 0;
		guest_store64(&slots[slot].len, (uint64_t)packed_used_flags(wrap, len) << 48 |
							(uint64_t)head << 32 | len);
		if (unlikely(++slot == size)) {
			slot = 0;
			wrap = !wrap;
		}
	}
	vq->next_used = (uint16_t)slot;
	vq->used_wrap = wrap;
	vq->room = (uint16_t)(vq->room + n);
	vq->unsignalled += n;
}

/* vq_push_singles - stage the completion of chains that vq_pop_singles() gave, each with the bytes
 * written to it in its len. */
static inline void vq_push_singles(struct virtqueue *vq, const struct vq_buffer *buffers,
				   unsigned n)
{
	if (vq->packed)
		packed_push_singles(vq, buffers, n);
	else
		split_push_singles(vq, buffers, n);
}

/* One used element for all of them, in the place of the first, with the head of the last (2.7.9). */
static inline void split_push_batch(struct virtqueue *vq, const uint16_t *heads, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		vq->in_flight[heads[i]] = 0;
	guest_store64(&vq->used->ring[vq->next_used & vq->mask], heads[n - 1]);
	vq->next_used = (uint16_t)(vq->next_used + n);
}

/* The same for a packed ring (2.8.8). */
static inline void packed_push_batch(struct virtqueue *vq, const uint16_t *heads, unsigned n)
{
	unsigned i, entries = 0;

	for (i = 0; i < n; i++)
		entries += vq_give_head(vq, heads[i]);
	vq->room = (uint16_t)(vq->room + entries);
	packed_stage(vq, heads[n - 1], 0, entries);
}

/* vq_push_batch - stage the completion of @n chains to which nothing was written: the oldest in
 * flight, in the order they were popped. */
static inline void vq_push_batch(struct virtqueue *vq, const uint16_t *heads, unsigned n)
{
	unsigned i;

	if (!n)
		return;
	if (vq->in_order) {
		if (vq->packed)
			packed_push_batch(vq, heads, n);
		else
			split_push_batch(vq, heads, n);
		return;
	}
	for (i = 0; i < n; i++)
		vq_push(vq, heads[i], 0);
}

#endif
