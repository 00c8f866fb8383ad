/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frame.c - frames that are owned, copied, read in parts, and the pools they come from.
 * Layer L5, lcore threads; pools: control thread.
 */
#include "net/frame.h"

#include <assert.h>
#include <errno.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <string.h>

#include "net/checksum.h"
#include "vhost/base/util.h"

#define POOL_CACHE 256 /* mbufs of an lcore's own, at most; more than a pass holds of them */

/* With the headroom behind it, data then begins at a cache line, as an mbuf does. */
#define PRIVATE_BYTES CACHELINE_BYTES
static_assert(sizeof(struct net_frame_meta) <= PRIVATE_BYTES, "one cache line");

/* take - copy the next @bytes, which are there. */
static void take(struct net_cursor *from, uint8_t *to, uint32_t bytes)
{
	while (bytes) {
		const uint8_t *piece;
		uint32_t part = net_cursor_next(from, bytes, &piece);

		assert(part);
		memcpy(to, piece, part);
		to += part;
		bytes -= part;
	}
	/* From here on the copy counts: the compiler may not go back to the source. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* tail_chain - as many fresh mbufs behind each other as @bytes need. Return: NULL: none left. */
static struct rte_mbuf *tail_chain(struct rte_mempool *pool, uint32_t bytes, unsigned *num)
{
	struct rte_mbuf *first = NULL, **link = &first;
	unsigned i, n = (bytes + NET_MBUF_BYTES - 1) / NET_MBUF_BYTES;
	struct rte_mbuf *all[NET_MAX_FRAME_BYTES / NET_MBUF_BYTES + 1];

	if (n > ARRAY_SIZE(all) || rte_pktmbuf_alloc_bulk(pool, all, n))
		return NULL;
	for (i = 0; i < n; i++) {
		*link = all[i];
		link = &all[i]->next;
	}
	*num = n;
	return first;
}

int net_frame_own(struct rte_mbuf *frame)
{
	struct net_frame_meta *meta = net_meta(frame);
	struct rte_mbuf *tail = NULL, *last;
	uint32_t left = meta->rest_bytes;
	struct net_cursor rest;
	unsigned num = 0;
	uint32_t part;

	if (!left)
		return 0;
	last = rte_pktmbuf_lastseg(frame);
	part = min_of(left, (uint32_t)rte_pktmbuf_tailroom(last));
	if (left > part) {
		tail = tail_chain(frame->pool, left - part, &num);
		if (!tail)
			return -ENOMEM;
	}
	net_cursor_init(&rest, frame, frame->pkt_len);
	take(&rest, rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), part);
	last->data_len = (uint16_t)(last->data_len + part);
	last->next = tail;
	frame->nb_segs = (uint16_t)(frame->nb_segs + num);
	frame->pkt_len += left;
	for (left -= part; tail; left -= part, tail = tail->next) {
		part = min_of(left, (uint32_t)NET_MBUF_BYTES);
		take(&rest, rte_pktmbuf_mtod(tail, uint8_t *), part);
		tail->data_len = (uint16_t)part;
	}
	meta->num_rest = 0;
	meta->rest_bytes = 0;
	return 0;
}

struct rte_mbuf *net_frame_copy(struct rte_mbuf *frame, struct rte_mempool *pool)
{
	const struct net_frame_meta *meta = net_meta(frame);
	struct rte_mbuf *copy = rte_pktmbuf_copy(frame, pool, 0, UINT32_MAX);
	struct net_frame_meta *copied;

	if (!copy)
		return NULL;
	copied = net_meta(copy);
	*copied = *meta;
	if (net_frame_own(copy)) {
		copied->rest_bytes = 0;
		rte_pktmbuf_free(copy);
		return NULL;
	}
	return copy;
}

void net_frame_read(struct rte_mbuf *frame, uint32_t offset, void *to, uint32_t bytes)
{
	struct net_cursor from;

	if (likely(offset + bytes <= frame->data_len)) {
		memcpy(to, rte_pktmbuf_mtod_offset(frame, uint8_t *, offset), bytes);
		return;
	}
	net_cursor_init(&from, frame, offset);
	take(&from, to, bytes);
}

/* returns - can @frame go back to @pool with others? Its fields are then as they have to be there. */
static inline bool returns(const struct rte_mbuf *frame, const struct rte_mempool *pool)
{
	return net_frame_plain(frame) && frame->pool == pool && RTE_MBUF_DIRECT(frame);
}

void net_frames_free(struct rte_mbuf **frames, unsigned n)
{
	struct rte_mempool *pool;
	unsigned i, from = 0;

	while (from < n) {
		pool = frames[from]->pool;
		for (i = from; i < n && likely(returns(frames[i], pool)); i++)
			;
		if (i > from)
			rte_mempool_put_bulk(pool, (void **)frames + from, i - from);
		else
			rte_pktmbuf_free(frames[i++]);
		from = i;
	}
}

struct rte_mempool *net_pool_create(const char *name, unsigned num, int socket)
{
	return rte_pktmbuf_pool_create(name, num, min_of(num / 2, (unsigned)POOL_CACHE),
				       PRIVATE_BYTES, RTE_PKTMBUF_HEADROOM + NET_MBUF_BYTES,
				       socket);
}
