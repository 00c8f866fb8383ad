/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * offload.h - checksums and segmentation: checked as guests ask for them, done in software where
 * the receiver does not take them. Layer L5, lcore threads. Nothing here reads guest memory other
 * than by net_frame_read() and copying; nothing allocates but mbufs.
 * virtio 1.3, sections 5.1.6.2 (sending) and 5.1.6.4 (receiving).
 */
#ifndef RINGSIDE_NET_OFFLOAD_H
#define RINGSIDE_NET_OFFLOAD_H

#include "net/frame.h"
#include "vhost/base/util.h"

/* What kernel headers of this age have no names for. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* What a port takes as it is. As bits of VIRTIO_NET_F_GUEST_*: CSUM, TSO4, TSO6, ECN, UFO, USO4,
 * USO6; a host port says it in the same bits (host.h). */
typedef uint64_t net_takes;

#define NET_TAKES                                                            \
	(1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 | \
	 1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |  \
	 1ull << VIRTIO_NET_F_GUEST_UFO | 1ull << VIRTIO_NET_F_GUEST_USO4 |  \
	 1ull << VIRTIO_NET_F_GUEST_USO6) /* all there are */

/*
 * net_offload_check - believe what a driver wrote into its header, or not: @hdr was copied out of
 * guest memory, @features were negotiated (HOST_*, CSUM). Fills @frame's meta->offload.
 * header_bytes comes from the frame itself, never from hdr_len. A frame with GSO whose payload fits
 * one segment is as one without. Return: false for a header that does not fit the frame: drop it.
 */
bool net_offload_check(struct rte_mbuf *frame, const struct virtio_net_hdr *hdr, uint64_t features);

/* net_offload_taken - of a frame with NEEDS_CSUM. */
bool net_offload_taken(const struct net_offload *o, net_takes takes);

/* net_offload_done - does a port that @takes need nothing done to @frame? The usual case. */
static inline bool net_offload_done(struct rte_mbuf *frame, net_takes takes)
{
	const struct net_offload *o = &net_meta(frame)->offload;

	if (likely(!(o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)))
		return true; /* gso implies NEEDS_CSUM */
	return net_offload_taken(o, takes);
}

/*
 * net_offload_soften - do in software what a port that @takes does not: checksum, segments. What the
 * port does take stays to be done. @frame is used up. At most @max frames go to @out; all are owned
 * or borrow what @frame borrowed. Checksums, IP identification, TCP sequence, flags (FIN and PSH on
 * the last segment, CWR on the first: ECN) and lengths are those of RFC 9293 and 791/8200; UFO
 * becomes IP fragments.
 * Return: how many frames; 0 with the frame freed: the pool is empty (-ENOMEM in *error) or @max
 * does not do (-E2BIG).
 */
unsigned net_offload_soften(struct rte_mbuf *frame, net_takes takes, struct rte_mbuf **out,
			    unsigned max, int *error);

#define NET_MAX_SEGMENTS \
	1024 /* of one frame that net_offload_soften() makes; smaller gso_bytes are
				 refused where the header is checked */

/* net_checksum_fill - do NEEDS_CSUM in software. */
void net_checksum_fill(struct rte_mbuf *frame);

/* net_offload_header - the header a guest with @features is shown, in its longest form, of which it
 * gets the first 12 or all 20 bytes (HASH_REPORT); num_buffers is 1. flags are zero without
 * GUEST_CSUM. */
void net_offload_header(struct rte_mbuf *frame, uint64_t features,
			struct virtio_net_hdr_v1_hash *hdr);

#endif
