/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx.c - take what a guest sends out of its transmitq (virtio 1.3, section 5.1.6.2).
 * Layer L5, lcore thread.
 *
 * Nearly every frame is one descriptor with the virtio header in front: a burst of those is taken
 * by a short loop. Any other framing of the same bytes goes the general way, to the same result.
 */
#include <string.h>

#include "net/forward.h"
#include "net/guest.h"
#include "net/guest_queue.h"
#include "net/lcore.h"

/* Frames up to this size are copied whole; of larger ones all but the first bytes is borrowed, which
 * is work of its own. */
#define COPIED_BYTES 512

/* A burst on its way in. */
struct burst {
	struct net_guest_queue *queue;
	struct rte_mbuf *frames[NET_BURST];
	unsigned num;
	uint32_t whole_bytes; /* frames up to this size are copied whole */
	uint32_t first_bytes; /* of larger ones, this much */
	uint64_t bytes;
	unsigned num_iovs; /* in use */
};

/* fresh - a frame of which the mbuf will hold @copied bytes. An mbuf from its pool is one segment with
 * one reference; its fields are set two words at a time, as drivers do it. */
static inline void fresh(struct rte_mbuf *frame, uint32_t copied)
{
	static const struct {
		uint16_t data_off, refcnt, nb_segs, port;
		uint64_t ol_flags;
	} first = {RTE_PKTMBUF_HEADROOM, 1, 1, RTE_MBUF_PORT_INVALID, 0};
	const uint64_t second[2] = {(uint64_t)copied << 32, copied};

	static_assert(offsetof(struct rte_mbuf, ol_flags) ==
				      offsetof(struct rte_mbuf, rearm_data) + 8 &&
			      offsetof(struct rte_mbuf, pkt_len) ==
				      offsetof(struct rte_mbuf, packet_type) + 4 &&
			      offsetof(struct rte_mbuf, data_len) ==
				      offsetof(struct rte_mbuf, packet_type) + 8,
		      "packet type, length, and length of the segment follow each other");
	memcpy(&frame->rearm_data, &first, sizeof(first));
	memcpy(&frame->packet_type, second, sizeof(second));
	net_frame_reset(frame);
}

static inline uint8_t *data_of(struct rte_mbuf *frame)
{
	return (uint8_t *)frame->buf_addr + RTE_PKTMBUF_HEADROOM;
}

/* size_drop - why a frame of so many bytes, its header apart, is none. */
static enum net_drop size_drop(uint64_t bytes)
{
	return bytes < NET_MIN_FRAME_BYTES ? NET_DROP_BAD_CHAIN : NET_DROP_TOO_LARGE;
}

/* check_header - @hdr was copied out of guest memory. Return: false: it does not fit the frame. */
static bool check_header(struct net_guest_queue *queue, struct rte_mbuf *frame,
			 const struct virtio_net_hdr *hdr)
{
	if (likely(!hdr->flags && !hdr->gso_type))
		return true;
	if (net_offload_check(frame, hdr, queue->features))
		return true;
	net_count_drop(queue->count, NET_DROP_BAD_HEADER, 1);
	return false;
}

/* --- one descriptor --- */

/* What is the same for a burst, where the compiler can keep it in registers. */
struct limits {
	uint32_t header_bytes;
	uint32_t whole_bytes;
	uint32_t first_bytes;
};

/* single_header - of a buffer with something in the first two fields, which came with @first. */
static bool single_header(struct net_guest_queue *queue, struct rte_mbuf *frame, uint64_t first,
			  const uint8_t *rest)
{
	uint64_t word = htole64(first);
	uint16_t last = htole16(guest_load16(rest));
	struct virtio_net_hdr hdr;

	memcpy(&hdr, &word, sizeof(word));
	memcpy((uint8_t *)&hdr + sizeof(word), &last, sizeof(last));
	return check_header(queue, frame, &hdr);
}

/* fill_single - @frame becomes what the buffer holds. Return: bytes of the frame; 0: dropped and
 * counted. */
static inline uint32_t fill_single(struct burst *b, const struct limits *l, struct rte_mbuf *frame,
				   const struct vq_buffer *buffer)
{
	uint32_t bytes = buffer->len - l->header_bytes;
	const uint8_t *from = buffer->host + l->header_bytes;
	uint32_t copied = bytes;
	uint64_t first;

	/* One comparison: what is shorter than the header is very long here, or was. */
	if (unlikely(bytes - NET_MIN_FRAME_BYTES > NET_MAX_FRAME_BYTES - NET_MIN_FRAME_BYTES)) {
		net_count_drop(b->queue->count,
			       size_drop(buffer->len < l->header_bytes ? 0 : bytes), 1);
		return 0;
	}
	if (bytes > l->whole_bytes)
		copied = l->first_bytes;
	fresh(frame, copied);
	memcpy(data_of(frame), from, copied);
	first = guest_load64(buffer->host);
	/* From here on the copies count: the compiler may not go back to the source. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (bytes > copied) {
		struct iovec *rest = &b->queue->iovs[b->num_iovs++];

		*rest = (struct iovec){(void *)(uintptr_t)(from + copied), bytes - copied};
		net_meta(frame)->rest = rest;
		net_meta(frame)->num_rest = 1;
		net_meta(frame)->rest_bytes = bytes - copied;
	}
	/* Flags and GSO type. */
	if (unlikely(first & 0xffff) &&
	    !single_header(b->queue, frame, first, buffer->host + sizeof(first)))
		return 0;
	return bytes;
}

/* take_singles - Return: chains taken; *other: the next is one of another kind. */
static unsigned take_singles(struct burst *b, unsigned max, bool *other)
{
	struct net_guest_queue *queue = b->queue;
	struct rte_mbuf *frames[NET_BURST], *unused[NET_BURST];
	struct vq_buffer buffers[NET_BURST];
	struct vq_singles s = {.buffers = buffers, .max = max};
	const struct limits l = {queue->header_bytes, b->whole_bytes, b->first_bytes};
	uint16_t *taken = queue->taken + queue->num_taken;
	struct rte_mbuf **to = b->frames + b->num;
	unsigned i, n, num_unused = 0;
	uint64_t total = 0;

	n = vq_pop_singles(queue->vq, &s);
	*other = s.other;
	if (!n)
		return 0;
	queue->num_taken += n;
	if (unlikely(rte_mempool_get_bulk(queue->lcore->pool, (void **)frames, n))) {
		for (i = 0; i < n; i++)
			taken[i] = buffers[i].head;
		net_count_drop(queue->count, NET_DROP_NO_MEMORY, n);
		return n;
	}
	for (i = 0; i < n; i++) {
		uint32_t bytes = fill_single(b, &l, frames[i], &buffers[i]);

		taken[i] = buffers[i].head;
		if (likely(bytes))
			*to++ = frames[i];
		else
			unused[num_unused++] = frames[i];
		total += bytes;
	}
	b->num = (unsigned)(to - b->frames);
	b->bytes += total;
	if (unlikely(num_unused))
		rte_mempool_put_bulk(queue->lcore->pool, (void **)unused, num_unused);
	return n;
}

/* --- any framing --- */

/* Readable buffers, from the first byte not read yet on. */
struct readable {
	struct iovec *iov;
	unsigned num;
};

/* copy_out - move the next @bytes, which are there, to @to. */
static void copy_out(struct readable *r, void *to, size_t bytes)
{
	uint8_t *out = to;

	while (bytes) {
		struct iovec *iov = r->iov;
		size_t part = min_of(bytes, iov->iov_len);

		memcpy(out, iov->iov_base, part);
		out += part;
		bytes -= part;
		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		if (!iov->iov_len) {
			r->iov++;
			r->num--;
		}
	}
	/* From here on the copy counts: the compiler may not go back to the source. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline bool drop_chain(struct burst *b, enum net_drop why)
{
	net_count_drop(b->queue->count, why, 1);
	return false;
}

/* fill - @frame becomes what the chain holds. Return: false: dropped and counted. */
static bool fill(struct burst *b, struct rte_mbuf *frame, const struct vq_chain *chain)
{
	struct net_guest_queue *queue = b->queue;
	uint64_t header_bytes = queue->header_bytes;
	struct readable r = {chain->iov, chain->num_out};
	struct net_frame_meta *meta = net_meta(frame);
	struct virtio_net_hdr_v1_hash hdr; /* the longest there is; the beginning is common */
	uint64_t bytes;
	uint32_t copied;

	/* A driver only offers what is to be read (5.1.6.2). */
	if (chain->error || chain->num_in || chain->out_bytes < header_bytes)
		return drop_chain(b, NET_DROP_BAD_CHAIN);
	bytes = chain->out_bytes - header_bytes;
	if (bytes < NET_MIN_FRAME_BYTES || bytes > NET_MAX_FRAME_BYTES)
		return drop_chain(b, size_drop(bytes));
	copied = bytes > b->whole_bytes ? b->first_bytes : (uint32_t)bytes;
	fresh(frame, copied);
	copy_out(&r, &hdr, header_bytes);
	copy_out(&r, data_of(frame), copied);
	if (bytes > copied) {
		meta->rest = r.iov;
		meta->num_rest = (uint16_t)r.num;
		meta->rest_bytes = (uint32_t)bytes - copied;
		b->num_iovs += chain->num_out;
	}
	if (!check_header(queue, frame, (struct virtio_net_hdr *)&hdr))
		return false;
	b->bytes += bytes;
	return true;
}

/* take_chain - Return: false: there is none. */
static bool take_chain(struct burst *b)
{
	struct net_guest_queue *queue = b->queue;
	struct vq_chain chain = {
		.iov = queue->iovs + b->num_iovs,
		.max_iov = NET_CHAIN_IOVS,
	};
	struct rte_mbuf *frame;

	if (!vq_pop(queue->vq, &chain))
		return false;
	queue->taken[queue->num_taken++] = chain.head;
	if (rte_mempool_get(queue->lcore->pool, (void **)&frame)) {
		net_count_drop(queue->count, NET_DROP_NO_MEMORY, 1);
		return true;
	}
	if (fill(b, frame, &chain))
		b->frames[b->num++] = frame;
	else
		rte_mempool_put(queue->lcore->pool, frame);
	return true;
}

/* --- a burst --- */

static void take(struct burst *b)
{
	struct net_guest_queue *queue = b->queue;
	bool other;

	do {
		/* Each of the burst has its place in taken[], and its iovecs. */
		take_singles(b, NET_BURST - queue->num_taken, &other);
	} while (unlikely(other) && queue->num_taken < NET_BURST &&
		 b->num_iovs + NET_CHAIN_IOVS + NET_BURST <= NET_QUEUE_IOVS && take_chain(b) &&
		 queue->num_taken < NET_BURST);
}

/* may_send - a driver that uses its control queue sends by the pairs it has enabled (5.1.6.5.5). */
static bool may_send(const struct net_guest_queue *queue)
{
	const struct net_guest_config *config =
		__atomic_load_n(&queue->guest->config, __ATOMIC_ACQUIRE);

	return !config->filters || queue->vq->index / 2 < config->num_pairs;
}

unsigned net_tx_take(struct net_guest_queue *queue)
{
	struct net_lcore *lcore = queue->lcore;
	struct net_port *port = &queue->guest->port;
	bool borrow = net_forward_borrows(lcore, port);
	struct burst b;

	b.queue = queue;
	b.num = 0;
	b.num_iovs = 0;
	b.bytes = 0;
	b.whole_bytes = borrow ? COPIED_BYTES : NET_MBUF_BYTES;
	b.first_bytes = borrow ? NET_HEADER_BYTES : NET_MBUF_BYTES;
	take(&b);
	if (!queue->num_taken)
		return 0;
	vq_kicks_off(queue->vq);
	vq_count_add(&queue->vq->count.chains, queue->num_taken);
	if (unlikely(!may_send(queue))) {
		net_count_drop(queue->count, NET_DROP_LINK_DOWN, b.num);
		net_frames_free(b.frames, b.num);
	} else if (b.num) {
		net_count(queue->count, b.num, b.bytes);
		net_forward(lcore, port, b.frames, b.num);
	}
	return queue->num_taken;
}

void net_tx_give_back(struct net_guest_queue *queue)
{
	const struct net_guest_config *config;

	if (!queue->num_taken)
		return;
	config = __atomic_load_n(&queue->guest->config, __ATOMIC_ACQUIRE);
	vq_push_batch(queue->vq, queue->taken, queue->num_taken);
	vq_publish(queue->vq);
	net_guest_queue_tell(queue, &config->tx_coalesce, queue->num_taken);
	queue->num_taken = 0;
}
