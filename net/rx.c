/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx.c - put frames into a guest's receiveq (virtio 1.3, section 5.1.6.4). Layer L5, lcore thread.
 *
 * Nearly every frame fits the one buffer that is next: a burst of those is written by a short loop.
 * A frame that needs several buffers, or finds chains of several descriptors, goes the general way:
 * all its chains are popped first, then written, so that one that does not fit leaves no trace.
 */
#include <string.h>

#include "net/checksum.h"
#include "net/guest.h"
#include "net/guest_queue.h"
#include "net/lcore.h"

/* Frames on their way in. */
struct delivery {
	struct net_guest_queue *queue;
	struct rte_mbuf **frames;
	unsigned num; /* of them */
	unsigned done;
	unsigned given; /* of those done: not dropped */
	unsigned chains; /* used */
	uint64_t bytes;
};

/* --- one buffer a frame --- */

/* nothing_to_tell - of @frame, but that it is one? */
static inline bool nothing_to_tell(struct rte_mbuf *frame)
{
	const struct net_offload *o = &net_meta(frame)->offload;
	uint16_t flags_and_type;

	static_assert(offsetof(struct net_offload, gso_type) == 1, "both in one load");
	memcpy(&flags_and_type, o, sizeof(flags_and_type));
	return !flags_and_type;
}

static void make_header(const struct net_guest_queue *queue, struct rte_mbuf *frame,
			struct virtio_net_hdr_v1_hash *hdr)
{
	const struct net_guest_config *config =
		__atomic_load_n(&queue->guest->config, __ATOMIC_ACQUIRE);

	/* What is there then was made for another guest, or never (net_guest_pick()). */
	if (!config->rss.types)
		net_meta(frame)->hash_type = VIRTIO_NET_HASH_REPORT_NONE;
	net_offload_header(frame, queue->features, hdr);
}

static void put_header(const struct net_guest_queue *queue, struct rte_mbuf *frame, uint8_t *to)
{
	struct virtio_net_hdr_v1_hash hdr;

	make_header(queue, frame, &hdr);
	memcpy(to, &hdr, queue->header_bytes);
}

/* put_rest - what is not in the mbuf's first segment. */
static void put_rest(struct rte_mbuf *frame, uint8_t *to)
{
	const struct net_frame_meta *meta = net_meta(frame);
	struct net_cursor cursor;
	const uint8_t *piece;
	uint32_t n;

	if (likely(frame->nb_segs == 1 && meta->num_rest == 1)) {
		memcpy(to, meta->rest->iov_base, meta->rest_bytes);
		return;
	}
	net_cursor_init(&cursor, frame, frame->data_len);
	while ((n = net_cursor_next(&cursor, NET_MAX_FRAME_BYTES, &piece))) {
		memcpy(to, piece, n);
		to += n;
	}
}

/* put_single - write header and frame to a buffer that is large enough. */
static inline void put_single(const struct net_guest_queue *queue, uint32_t header_bytes,
			      struct rte_mbuf *frame, uint32_t frame_bytes, uint8_t *to)
{
	uint32_t first = frame->data_len;

	if (likely(nothing_to_tell(frame) && header_bytes == sizeof(struct virtio_net_hdr_v1))) {
		guest_store64(to, 0);
		guest_store32(to + 8, 1u << 16); /* num_buffers */
	} else {
		put_header(queue, frame, to);
	}
	to += header_bytes;
	memcpy(to, rte_pktmbuf_mtod(frame, uint8_t *), first);
	if (unlikely(first < frame_bytes))
		put_rest(frame, to + first);
}

/* How a burst of single buffers ended. */
enum end {
	ALL_DONE, /* there are no more frames in it */
	NO_BUFFERS,
	OTHER_WAY /* the next frame wants several buffers, or another kind of chain */
};

/* deliver_singles - as many as fit one buffer each. */
static enum end deliver_singles(struct delivery *d)
{
	struct net_guest_queue *queue = d->queue;
	unsigned n = min_of(d->num - d->done, (unsigned)NET_BURST);
	struct rte_mbuf **frames = d->frames + d->done;
	uint32_t header_bytes = queue->header_bytes;
	struct vq_buffer buffers[NET_BURST];
	struct vq_singles s = {
		.buffers = buffers,
		.max = n,
		.direction = VRING_DESC_F_WRITE,
	};
	uint64_t bytes = 0;
	unsigned i, got;

	got = vq_pop_singles(queue->vq, &s);
	for (i = 0; i < got; i++) {
		uint32_t frame_bytes = net_frame_bytes(frames[i]);

		if (unlikely(buffers[i].len < frame_bytes + header_bytes))
			break;
		put_single(queue, header_bytes, frames[i], frame_bytes, buffers[i].host);
		buffers[i].len = frame_bytes + header_bytes;
		bytes += frame_bytes;
	}
	if (unlikely(i < got))
		vq_unpop_singles(queue->vq, &buffers[got - 1], got - i);
	vq_push_singles(queue->vq, buffers, i);
	d->bytes += bytes;
	d->done += i;
	d->given += i;
	d->chains += i;
	if (likely(i == n))
		return ALL_DONE;
	return i < got || s.other ? OTHER_WAY : NO_BUFFERS;
}

/* --- any framing --- */

/* The chains of one frame, and where in their buffers writing has come to. */
struct room {
	unsigned num_chains; /* in queue->pieces */
	unsigned num_iovs; /* in queue->iovs */
	uint64_t bytes;
	struct iovec *at;
	size_t offset;
};

/* gather - pop chains until they hold @need bytes. Return: 0, -ENOBUFS (all is as it was, but for
 * the ring being empty), -EMSGSIZE (as before; it will never fit), -EBADMSG (the last chain popped
 * breaks a rule). */
static int gather(struct net_guest_queue *queue, struct room *room, uint32_t need)
{
	struct virtqueue *vq = queue->vq;

	while (room->bytes < need) {
		struct vq_chain chain = {
			.iov = queue->iovs + room->num_iovs,
			.max_iov = NET_CHAIN_IOVS,
		};
		struct vq_buffer *piece = &queue->pieces[room->num_chains];

		if (room->num_chains == vq->size ||
		    room->num_iovs + NET_CHAIN_IOVS > NET_QUEUE_IOVS)
			return -EMSGSIZE;
		if (!vq_pop(vq, &chain))
			return -ENOBUFS;
		*piece = (struct vq_buffer){.head = chain.head};
		room->num_chains++;
		/* A driver only offers what is to be written, and room for a header (5.1.6.3.1). */
		if (chain.error || chain.num_out || chain.in_bytes < queue->header_bytes)
			return -EBADMSG;
		room->num_iovs += chain.num_in;
		piece->len = (uint32_t)min_of(chain.in_bytes, (uint64_t)need);
		room->bytes += chain.in_bytes;
		if (room->bytes < need && !queue->mergeable)
			return -EMSGSIZE;
	}
	return 0;
}

/* ungather - give the chains back as if they had never been taken. */
static void ungather(struct net_guest_queue *queue, const struct room *room)
{
	unsigned n = room->num_chains;

	while (n-- > 0) {
		const struct vq_chain chain = {.head = queue->pieces[n].head};

		vq_unpop(queue->vq, &chain);
	}
}

/* write_out - the next @bytes, for which there is room. */
static void write_out(struct room *room, const uint8_t *from, uint32_t bytes)
{
	while (bytes) {
		size_t part = min_of((size_t)bytes, room->at->iov_len - room->offset);

		memcpy((uint8_t *)room->at->iov_base + room->offset, from, part);
		from += part;
		bytes -= (uint32_t)part;
		room->offset += part;
		if (room->offset == room->at->iov_len) {
			room->at++;
			room->offset = 0;
		}
	}
}

/* put - write header and frame to the chains gathered, and push them: all but the last are full
 * (5.1.6.4). */
static void put(struct net_guest_queue *queue, struct room *room, struct rte_mbuf *frame,
		uint32_t need)
{
	struct virtio_net_hdr_v1_hash hdr;
	struct net_cursor cursor;
	const uint8_t *piece;
	uint32_t n;
	unsigned i;

	make_header(queue, frame, &hdr);
	hdr.hdr.num_buffers = htole16((uint16_t)room->num_chains);
	room->at = queue->iovs;
	room->offset = 0;
	write_out(room, (const uint8_t *)&hdr, queue->header_bytes);
	net_cursor_init(&cursor, frame, 0);
	while ((n = net_cursor_next(&cursor, NET_MAX_FRAME_BYTES, &piece)))
		write_out(room, piece, n);
	for (i = 0; i < room->num_chains; i++) {
		n = min_of(queue->pieces[i].len, need);
		vq_push(queue->vq, queue->pieces[i].head, n);
		need -= n;
	}
}

/* deliver_one - one frame, into chains of any framing. Return: false: the ring is empty. */
static bool deliver_one(struct delivery *d)
{
	struct net_guest_queue *queue = d->queue;
	struct rte_mbuf *frame = d->frames[d->done++];
	uint32_t frame_bytes = net_frame_bytes(frame);
	uint32_t need = frame_bytes + queue->header_bytes;
	struct room room = {0};
	unsigned i;

	switch (gather(queue, &room, need)) {
	case 0:
		put(queue, &room, frame, need);
		d->chains += room.num_chains;
		d->bytes += frame_bytes;
		d->given++;
		return true;
	case -EBADMSG:
		/* Those before it in the frame go back with it, since in order they are used first. */
		for (i = 0; i < room.num_chains; i++)
			vq_push(queue->vq, queue->pieces[i].head, 0);
		d->chains += room.num_chains;
		net_count_drop(queue->count, NET_DROP_BAD_CHAIN, 1);
		return true;
	case -EMSGSIZE:
		ungather(queue, &room);
		net_count_drop(queue->count, NET_DROP_TOO_LARGE, 1);
		return true;
	default:
		ungather(queue, &room);
		net_count_drop(queue->count, NET_DROP_NO_DESCRIPTORS, 1);
		return room.num_chains > 0; /* a smaller one may find room */
	}
}

void net_rx_deliver(struct net_guest_queue *queue, struct rte_mbuf **frames, unsigned n)
{
	struct delivery d = {.queue = queue, .frames = frames, .num = n};
	const struct net_guest_config *config;
	enum end end = ALL_DONE;

	while (end != NO_BUFFERS && d.done < n) {
		end = deliver_singles(&d);
		if (end == OTHER_WAY && !deliver_one(&d))
			end = NO_BUFFERS;
	}
	if (d.done < n)
		net_count_drop(queue->count, NET_DROP_NO_DESCRIPTORS, n - d.done);
	if (d.chains) {
		config = __atomic_load_n(&queue->guest->config, __ATOMIC_ACQUIRE);
		vq_publish(queue->vq);
		vq_count_add(&queue->vq->count.chains, d.chains);
		net_count(queue->count, d.given, d.bytes);
		net_guest_queue_tell(queue, &config->rx_coalesce, d.given);
	}
	net_frames_free(frames, n);
}
