/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frame.h - a frame on its way from one port to another: an mbuf, and what an mbuf has no room for.
 * Layer L5, lcore threads. A frame belongs to one lcore at a time.
 *
 * Theory of operation. The first bytes of a guest's frame, all its protocol headers among them, are
 * copied once into the mbuf; what is checked there is what is sent on (contract 4). The rest of a
 * large frame may stay where it is: borrowed, as iovecs into the sender's memory, until the lcore
 * that took it gives the chain back at the end of its pass. So a frame from one guest to another is
 * copied once. Whoever keeps a frame longer, hands it to another lcore or to a DPDK port, owns it
 * first: net_frame_own().
 */
#ifndef RINGSIDE_NET_FRAME_H
#define RINGSIDE_NET_FRAME_H

#include <assert.h>
#include <linux/virtio_net.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#define NET_MAX_FRAME_BYTES (65535 + 22) /* an IP packet of full size, two VLAN tags */
#define NET_MIN_FRAME_BYTES 14 /* an Ethernet header */
#define NET_HEADER_BYTES    256 /* of a frame that are never borrowed; all headers lie in them */
#define NET_BURST           32 /* frames taken in one go */
#define NET_MBUF_BYTES      2048 /* data room behind the headroom */

/*
 * What is left to be done to a frame, checked (offload.h): virtio_net_hdr (virtio 1.3, section
 * 5.1.6) with every field in host byte order and true of this frame. All zero: nothing is.
 */
struct net_offload {
	uint8_t flags; /* VIRTIO_NET_HDR_F_NEEDS_CSUM, _DATA_VALID */
	uint8_t gso_type; /* VIRTIO_NET_HDR_GSO_NONE, _TCPV4, _TCPV6, _UDP, _UDP_L4; and _ECN */
	uint16_t header_bytes; /* with a gso_type: all headers, up to the payload */
	uint16_t gso_bytes; /* payload of one segment */
	uint16_t csum_start, csum_offset; /* with NEEDS_CSUM */
	uint8_t ip; /* with a gso_type: 4 or 6, */
	uint8_t l3; /* and the offset of that header */
};

/* In the private area of every mbuf of ours. */
struct net_frame_meta {
	struct net_offload offload; /* this and the next: zeroed in one store */
	uint32_t rest_bytes; /* in the iovecs; 0: nothing is borrowed. Not in pkt_len or data_len */
	const struct iovec *rest; /* of a segment (offload.h): they lie in its headroom */
	uint16_t num_rest; /* of them, where rest_bytes is not 0 */
	uint16_t hash_type; /* VIRTIO_NET_HASH_REPORT_*; NONE: not computed yet */
	uint32_t hash; /* of the flow, as hash_type says (rss.h) */
	uint16_t from, to; /* ids of ports; to: where another lcore is to put it */
	uint32_t to_generation; /* of that port (port.h) */
	uint16_t to_queue; /* pair of a guest */
};

#define NET_META_RESET_BYTES 16
static_assert(offsetof(struct net_frame_meta, rest) == NET_META_RESET_BYTES, "what is zeroed");

/* net_frame_plain - is it as an mbuf of one segment that nobody else refers to: its reference count and
 * its segments, which adjoin, both 1? */
static inline bool net_frame_plain(const struct rte_mbuf *frame)
{
	uint32_t refs_and_segments;

	static_assert(offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2,
		      "they adjoin");
	memcpy(&refs_and_segments, &frame->refcnt, sizeof(refs_and_segments));
	return refs_and_segments == 0x00010001;
}

static inline struct net_frame_meta *net_meta(struct rte_mbuf *frame)
{
	return rte_mbuf_to_priv(frame);
}

/* net_frame_bytes - of the whole frame, without a virtio header. */
static inline uint32_t net_frame_bytes(struct rte_mbuf *frame)
{
	return frame->pkt_len + net_meta(frame)->rest_bytes;
}

/* net_frame_reset - an mbuf fresh from its pool: nothing borrowed, nothing to be done. */
static inline void net_frame_reset(struct rte_mbuf *frame)
{
	struct net_frame_meta *meta = net_meta(frame);

	memset(meta, 0, NET_META_RESET_BYTES);
	meta->hash_type = 0;
}

/*
 * net_frame_own - copy what is borrowed into mbufs of @frame's pool, so that the frame no longer
 * depends on guest memory. Return: 0, or -ENOMEM: the pool is empty, the frame is as it was.
 */
int net_frame_own(struct rte_mbuf *frame);

/* net_frame_copy - a second frame with the same content, owned, of @pool (flooding, capture).
 * Return: NULL when the pool is empty. */
struct rte_mbuf *net_frame_copy(struct rte_mbuf *frame, struct rte_mempool *pool);

/*
 * net_frame_read - copy [@offset, @offset + @bytes) of the frame, borrowed parts included, to @to.
 * Borrowed bytes may change at any time: look at the copy only. The range lies in the frame.
 */
void net_frame_read(struct rte_mbuf *frame, uint32_t offset, void *to, uint32_t bytes);

/* net_frames_free - as rte_pktmbuf_free_bulk(), quick for those of one pool and one segment. */
void net_frames_free(struct rte_mbuf **frames, unsigned n);

/* net_pool_create - @num mbufs with room for struct net_frame_meta, on NUMA node @socket.
 * Return: NULL with rte_errno. Control thread. */
struct rte_mempool *net_pool_create(const char *name, unsigned num, int socket);

#endif
