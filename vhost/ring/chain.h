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

/* vq_chain_add_slow - a buffer that is not in one region, or does not fit; see vq_chain_add. */
void vq_chain_add_slow(struct virtqueue *vq, struct vq_chain *chain, const struct vq_desc *desc);

/* vq_chain_add - append one buffer, translated. Errors are noted in the chain. */
static inline void vq_chain_add(struct virtqueue *vq, struct vq_chain *chain,
				const struct vq_desc *desc)
{
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	unsigned n = chain->num_out + chain->num_in;
	uint8_t *host;

	if (unlikely(!writable && chain->num_in)) {
		chain->error = VQ_CHAIN_ORDER;
		return;
	}
	host = mem_at(vq->mem, &vq->cache, desc->gpa, desc->len);
	if (unlikely(!host || !desc->len || n >= chain->max_iov)) {
		vq_chain_add_slow(vq, chain, desc);
		return;
	}
	chain->iov[n].iov_base = host;
	chain->iov[n].iov_len = desc->len;
	if (writable) {
		chain->num_in++;
		chain->in_bytes += desc->len;
	} else {
		chain->num_out++;
		chain->out_bytes += desc->len;
	}
}

/* vq_chain_fail - note the error, count it, and find where a status byte would go: the end of
 * @last, the chain's last descriptor, or NULL where it is not known. */
void vq_chain_fail(struct virtqueue *vq, struct vq_chain *chain, enum vq_chain_error error,
		   const struct vq_desc *last);

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
static inline bool vq_table_indirect(struct virtqueue *vq, const struct vq_desc *desc,
				     struct vq_table *table)
{
	uint64_t end;

	if (unlikely(!vq->indirect || (desc->flags & VRING_DESC_F_NEXT) || !desc->len ||
		     desc->len % sizeof(struct vring_desc) ||
		     add_overflows(desc->gpa, (uint64_t)desc->len, &end)))
		return false;
	table->entries = desc->len / sizeof(struct vring_desc);
	table->gpa = desc->gpa;
	table->host = mem_at(vq->mem, &vq->cache, desc->gpa, desc->len);
	return true;
}

static inline void vq_chain_begin(struct vq_chain *chain, uint16_t head)
{
	chain->head = head;
	chain->num_out = chain->num_in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->error = VQ_CHAIN_OK;
}

/* vq_take_head - mark a descriptor index or buffer id in flight. Return: false, and the ring is
 * broken, when it is outside the ring or in flight already. */
static inline bool vq_take_head(struct virtqueue *vq, uint16_t head)
{
	uint64_t bit = 1ull << (head % 64);
	uint64_t *word;

	if (unlikely(head >= vq->size)) {
		vq_break(vq, "head or id outside the ring", head, vq->size);
		return false;
	}
	word = &vq->in_flight[head / 64];
	if (unlikely(*word & bit)) {
		vq_break(vq, "head or id already in flight", head, vq->size);
		return false;
	}
	*word |= bit;
	return true;
}

static inline void vq_give_head(struct virtqueue *vq, uint16_t head)
{
	vq->in_flight[head / 64] &= ~(1ull << (head % 64));
}

#endif
