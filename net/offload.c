/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * offload.c - what drivers ask for, checked; and what guests are told.
 * lcore threads. Layer L5. virtio 1.3, sections 5.1.6.2 and 5.1.6.4.
 */
#include "net/offload.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "net/headers.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

/* A kind of segmentation: what a driver negotiates to ask for it, and which header it is of. */
struct gso_kind {
	uint64_t host; /* feature */
	uint8_t protocol; /* 0: no such kind */
	uint8_t ip; /* 0: either */
	uint8_t csum_offset;
};

static const struct gso_kind gso_kinds[] = {
	[VIRTIO_NET_HDR_GSO_TCPV4] = {BIT(HOST_TSO4), IPPROTO_TCP, 4, 16},
	[VIRTIO_NET_HDR_GSO_TCPV6] = {BIT(HOST_TSO6), IPPROTO_TCP, 6, 16},
	[VIRTIO_NET_HDR_GSO_UDP] = {BIT(HOST_UFO), IPPROTO_UDP, 0, 6},
	[VIRTIO_NET_HDR_GSO_UDP_L4] = {BIT(HOST_USO), IPPROTO_UDP, 0, 6},
};

#define TCP_FLAGS 13 /* offset in a TCP header */
#define TCP_CWR   0x80

/* gso_kind - what @hdr asks for. Return: NULL: nothing that is known and was negotiated. */
static const struct gso_kind *gso_kind(const struct virtio_net_hdr *hdr, uint64_t features)
{
	unsigned type = hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	const struct gso_kind *kind;

	if (type >= ARRAY_SIZE(gso_kinds))
		return NULL;
	kind = &gso_kinds[type];
	if (!kind->protocol || !(features & kind->host))
		return NULL;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN &&
	    (kind->protocol != IPPROTO_TCP || !(features & BIT(HOST_ECN))))
		return NULL;
	return kind;
}

/*
 * check_gso - of @frame, whose checksum fields in @o are checked. What the driver says of lengths is
 * compared with the headers, and those with the frame: segments are cut by them.
 */
static bool check_gso(struct net_offload *o, struct rte_mbuf *frame,
		      const struct virtio_net_hdr *hdr, uint64_t features)
{
	const struct gso_kind *kind = gso_kind(hdr, features);
	const uint8_t *data = rte_pktmbuf_mtod(frame, const uint8_t *);
	uint32_t segment_bytes = le16toh(hdr->gso_size), payload_bytes, end;
	bool fragments = hdr->gso_type == VIRTIO_NET_HDR_GSO_UDP;
	struct net_headers h;

	if (!kind || !net_headers_parse(&h, data, frame->data_len, net_frame_bytes(frame)))
		return false;
	if (h.protocol != kind->protocol || !h.payload || (kind->ip && h.ip != kind->ip))
		return false;
	if (o->csum_start != h.l4 || o->csum_offset != kind->csum_offset)
		return false;
	if (fragments)
		segment_bytes &= ~7u; /* fragments are counted in units of eight bytes */
	if (!segment_bytes)
		return false;
	end = h.l3 + h.l3_bytes;
	payload_bytes = end - (fragments ? h.fragmentable : h.payload);
	if (payload_bytes <= segment_bytes)
		return true;
	if (end != net_frame_bytes(frame) || payload_bytes > segment_bytes * NET_MAX_SEGMENTS)
		return false;
	o->gso_type = hdr->gso_type;
	/* Drivers that do not know of ECN may forget the bit; receivers rely on it. */
	if (kind->protocol == IPPROTO_TCP && data[h.l4 + TCP_FLAGS] & TCP_CWR)
		o->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	o->gso_bytes = (uint16_t)segment_bytes;
	o->header_bytes = h.payload;
	o->ip = h.ip;
	o->l3 = (uint8_t)h.l3;
	return true;
}

bool net_offload_check(struct rte_mbuf *frame, const struct virtio_net_hdr *hdr, uint64_t features)
{
	struct net_offload *o = &net_meta(frame)->offload;
	struct net_offload asked = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};

	*o = (struct net_offload){0};
	if (likely(!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)))
		return hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE;
	if (!(features & BIT(CSUM)))
		return false;
	asked.csum_start = le16toh(hdr->csum_start);
	asked.csum_offset = le16toh(hdr->csum_offset);
	/* A sum must not end up in the addresses: they were looked at before. And in a borrowed
	 * part it could not be written. */
	if (asked.csum_start < NET_MIN_FRAME_BYTES ||
	    (uint32_t)asked.csum_start + asked.csum_offset + sizeof(uint16_t) > frame->data_len)
		return false;
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE && !check_gso(&asked, frame, hdr, features))
		return false;
	*o = asked;
	return true;
}

bool net_offload_taken(const struct net_offload *o, net_takes takes)
{
	net_takes needed = BIT(GUEST_CSUM);

	switch (o->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		needed |= BIT(GUEST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		needed |= BIT(GUEST_TSO6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		needed |= BIT(GUEST_UFO);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		needed |= o->ip == 4 ? BIT(GUEST_USO4) : BIT(GUEST_USO6);
		break;
	}
	if (o->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		needed |= BIT(GUEST_ECN);
	return !(needed & ~takes);
}

void net_offload_header(struct rte_mbuf *frame, uint64_t features,
			struct virtio_net_hdr_v1_hash *hdr)
{
	const struct net_frame_meta *meta = net_meta(frame);
	const struct net_offload *o = &meta->offload;

	*hdr = (struct virtio_net_hdr_v1_hash){
		.hdr.num_buffers = htole16(1),
		.hash_report = htole16(meta->hash_type),
		.hash_value = meta->hash_type ? htole32(meta->hash) : 0,
	};
	if (likely(!o->flags) || !(features & BIT(GUEST_CSUM)))
		return;
	hdr->hdr.flags = o->flags;
	hdr->hdr.csum_start = htole16(o->csum_start);
	hdr->hdr.csum_offset = htole16(o->csum_offset);
	hdr->hdr.gso_type = o->gso_type;
	hdr->hdr.gso_size = htole16(o->gso_bytes);
	hdr->hdr.hdr_len = htole16(o->header_bytes);
}
