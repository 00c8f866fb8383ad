/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chain.h - what both ring formats share: a copied descriptor, buffers translated into a chain,
 * the bit per chain in flight. Layer L3, queue thread. Included by virtqueue.h only.
 */
#ifndef RINGSIDE_RING_CHAIN_H
#define RINGSIDE_RING_CHAIN_H

#ifndef RINGSIDE_RING_VIRTQUEUE_H
#error "include vhost/ring/virtqueue.h"
#endif

#include "vhost/ring/guest_access.h"

/* A descriptor, copied: two loads, nothing read twice. @tag is next (split) or id (packed). */
struct vq_desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
	uint16_t tag;
};

/*
 * A chain on its way in: kept in registers, since after every store to an iovec the compiler
 * would have to read the chain's own fields anew.
 */
struct vq_walk {
	struct iovec *iov; /* next to be filled */
	struct iovec *end;
	uint64_t bytes; /* in the direction under way */
	uint16_t writable; /* that direction, as VRING_DESC_F_WRITE: readable buffers come first */
	uint8_t error; /* enum vq_chain_error */
};

static inline struct vq_walk vq_walk_begin(const struct vq_chain *chain)
{
	return (struct vq_walk){.iov = chain->iov, .end = chain->iov + chain->max_iov};
}

/* vq_walk_turn - the readable part is complete. */
static inline void vq_walk_turn(struct vq_walk *walk, struct vq_chain *chain)
{
	chain->num_out = (uint16_t)(walk->iov - chain->iov);
	chain->out_bytes = walk->bytes;
	walk->bytes = 0;
	walk->writable = VRING_DESC_F_WRITE;
}

/* vq_add_slow - a buffer over several regions, empty, unmapped, or one too many.
 * Return: iovecs filled, -EFAULT or -E2BIG. */
int vq_add_slow(struct virtqueue *vq, const struct vq_desc *desc, struct iovec *iov, unsigned max);

/* vq_walk_add - append one buffer, translated. An error is noted and the walk may go on. */
static inline void vq_walk_add(struct virtqueue *vq, struct vq_walk *walk, struct vq_chain *chain,
			       struct vq_desc desc)
{
	const struct mem_cache *cache = &vq->cache;
	uint64_t offset = desc.gpa - cache->gpa; /* wraps to something huge below the region */
	int added = 1;

	if ((desc.flags & VRING_DESC_F_WRITE) != walk->writable) {
		if (unlikely(walk->writable)) {
			walk->error = VQ_CHAIN_ORDER;
			return;
		}
		vq_walk_turn(walk, chain);
	}
	/* As mem_at() does it, but for an empty buffer, which is left to the slow path. */
	if (likely(offset < cache->size && (uint64_t)desc.len - 1 < cache->size - offset &&
		   walk->iov < walk->end)) {
		walk->iov->iov_base = cache->host + offset;
		walk->iov->iov_len = desc.len;
	} else {
		struct vq_desc copy = desc;

		added = vq_add_slow(vq, &copy, walk->iov, (unsigned)(walk->end - walk->iov));
		if (added < 0) {
			walk->error = added == -E2BIG ? VQ_CHAIN_TOO_LONG : VQ_CHAIN_UNMAPPED;
			return;
		}
	}
	walk->iov += added;
	walk->bytes += desc.len;
}

/* vq_chain_fail - note the error, count it, and find where a status byte would go: the end of
 * @last, the chain's last descriptor, or NULL where it is not known. */
void vq_chain_fail(struct virtqueue *vq, struct vq_chain *chain, enum vq_chain_error error,
		   const struct vq_desc *last);

/* vq_walk_end - the chain ended at @last: fill in the rest of it. */
static inline void vq_walk_end(struct virtqueue *vq, struct vq_walk *walk, struct vq_chain *chain,
			       struct vq_desc last)
{
	if (!walk->writable)
		vq_walk_turn(walk, chain);
	chain->num_in = (uint16_t)(walk->iov - chain->iov - chain->num_out);
	chain->in_bytes = walk->bytes;
	chain->error = VQ_CHAIN_OK;
	if (unlikely(walk->error)) {
		struct vq_desc copy = last;

		vq_chain_fail(vq, chain, walk->error, &copy);
	}
}

/* A table of descriptors in guest memory: the ring's own, or an indirect one. */
struct vq_table {
	const uint8_t *host; /* NULL: an indirect table over several regions, go by gpa */
	uint64_t gpa;
	uint32_t entries;
};

/* vq_table_at - host address of descriptor @i, or NULL when it is not in guest memory. */
static inline const uint8_t *vq_table_at(struct virtqueue *vq, const struct vq_table *table,
					 uint32_t i)
{
	if (likely(table->host))
		return table->host + (size_t)i * sizeof(struct vring_desc);
	return mem_at(vq->mem, &vq->cache, table->gpa + i * sizeof(struct vring_desc),
		      sizeof(struct vring_desc));
}

/* vq_table_indirect - the table @desc points to (2.7.5.3, 2.8.7). Return: false when it breaks a
 * rule: not negotiated, with NEXT, empty, or no whole number of descriptors. */
static inline bool vq_table_indirect(struct virtqueue *vq, struct vq_desc desc,
				     struct vq_table *table)
{
	uint64_t end;

	if (unlikely(!vq->indirect || (desc.flags & VRING_DESC_F_NEXT) || !desc.len ||
		     desc.len % sizeof(struct vring_desc) ||
		     add_overflows(desc.gpa, (uint64_t)desc.len, &end)))
		return false;
	table->entries = desc.len / sizeof(struct vring_desc);
	table->gpa = desc.gpa;
	table->host = mem_at(vq->mem, &vq->cache, desc.gpa, desc.len);
	return true;
}

/* vq_take_head - mark a descriptor index or buffer id in flight with the ring @entries it takes.
 * Return: false, and the ring is broken, when it is outside the ring or in flight already. */
static inline bool vq_take_head(struct virtqueue *vq, uint16_t head, unsigned entries)
{
	if (unlikely(head >= vq->size)) {
		vq_break(vq, "head or id outside the ring", head, vq->size);
		return false;
	}
	if (unlikely(vq->in_flight[head])) {
		vq_break(vq, "head or id already in flight", head, vq->size);
		return false;
	}
	vq->in_flight[head] = (uint16_t)entries;
	return true;
}

/* vq_give_head - it is in flight no more. Return: the entries it took. */
static inline unsigned vq_give_head(struct virtqueue *vq, uint16_t head)
{
	unsigned entries = vq->in_flight[head];

	vq->in_flight[head] = 0;
	return entries;
}

#endif
