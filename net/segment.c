/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * segment.c - cuts a frame of TCP or UDP into segments, and one of UDP into IP fragments.
 * lcore threads. Layer L5. RFC 9293, 768, 791, 8200; virtio 1.3, section 5.1.6.2.
 *
 * Theory of operation. A segment is an mbuf with a copy of the headers. What its payload has in the
 * frame's borrowed part stays there: the iovecs that say where lie in the segment's own headroom.
 * What lies in the frame's mbufs is copied, since those are freed with the frame. The iovecs need
 * room, so where a segment is in more pieces than there are, it is copied as well.
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_random.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <string.h>

#include "net/checksum.h"
#include "net/headers.h"
#include "net/offload.h"

#define SEGMENT_IOVECS (RTE_PKTMBUF_HEADROOM / sizeof(struct iovec))

#define OPTION_END    0
#define OPTION_NOP    1
#define OPTION_COPIED 0x80 /* in the option's type: for all fragments */

/* Of one frame that is cut. */
struct cut {
	struct rte_mbuf *frame;
	struct net_offload offload; /* the frame's, before */
	uint32_t header_bytes; /* that each segment gets */
	uint32_t payload_bytes;
	struct net_cursor payload; /* what comes next of it */
};

/* A segment of it. */
struct part {
	uint32_t offset; /* in the payload */
	uint32_t bytes;
	uint16_t index;
	bool last;
};

/* new_segment - the headers, with room for @extra bytes behind them. Return: NULL: the pool is
 * empty. */
static struct rte_mbuf *new_segment(const struct cut *cut, uint32_t extra)
{
	struct rte_mbuf *segment = rte_pktmbuf_alloc(cut->frame->pool);
	char *to;

	if (!segment)
		return NULL;
	*net_meta(segment) = *net_meta(cut->frame);
	net_meta(segment)->num_rest = 0;
	net_meta(segment)->rest_bytes = 0;
	net_meta(segment)->offload = (struct net_offload){0};
	to = rte_pktmbuf_append(segment, (uint16_t)(cut->header_bytes + extra));
	if (!to) {
		rte_pktmbuf_free(segment);
		return NULL;
	}
	memcpy(to, rte_pktmbuf_mtod(cut->frame, const char *), cut->header_bytes);
	return segment;
}

/* add_payload - the next @bytes. Return: 0 or -ENOMEM. */
static int add_payload(struct rte_mbuf *segment, struct net_cursor *payload, uint32_t bytes)
{
	struct net_frame_meta *meta = net_meta(segment);
	struct iovec *rest = segment->buf_addr;
	bool must_copy = false; /* what rest[] is of lies in the frame's mbufs */
	const uint8_t *piece;
	uint16_t num = 0;

	meta->rest = rest;
	while (bytes) {
		uint32_t n = net_cursor_next(payload, bytes, &piece);
		bool in_mbuf = payload->mbuf;

		if (num == SEGMENT_IOVECS || (must_copy && !in_mbuf)) {
			if (net_frame_own(segment))
				return -ENOMEM;
			must_copy = false;
			num = 0;
		}
		rest[num++] = (struct iovec){(void *)(uintptr_t)piece, n};
		meta->num_rest = num;
		meta->rest_bytes += n;
		must_copy |= in_mbuf;
		bytes -= n;
	}
	return must_copy ? net_frame_own(segment) : 0;
}

static void *at(struct rte_mbuf *segment, uint32_t offset)
{
	return rte_pktmbuf_mtod_offset(segment, void *, offset);
}

static void set_tcp(struct rte_tcp_hdr *tcp, const struct part *part)
{
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + part->offset);
	if (!part->last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (part->index)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
}

/*
 * set_headers - of a segment of TCP or UDP. Its checksum is left to be done: of what the driver put
 * there, the sum of the pseudo header, only the length changes. So the destination that a routing
 * header names stays in it.
 */
static void set_headers(struct rte_mbuf *segment, const struct cut *cut, const struct part *part)
{
	const struct net_offload *o = &cut->offload;
	uint32_t transport_bytes = cut->header_bytes - o->csum_start;
	uint16_t was = rte_cpu_to_be_16((uint16_t)(transport_bytes + cut->payload_bytes));
	uint16_t is = rte_cpu_to_be_16((uint16_t)(transport_bytes + part->bytes));
	uint16_t sum;

	if (o->ip == 4) {
		struct rte_ipv4_hdr *ip = at(segment, o->l3);

		ip->packet_id =
			rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + part->index));
	}
	net_ip_set_bytes(segment, o->ip, o->l3);
	memcpy(&sum, at(segment, o->csum_start + o->csum_offset), sizeof(sum));
	sum = net_sum_add(net_sum_add(sum, (uint16_t)~was), is);
	memcpy(at(segment, o->csum_start + o->csum_offset), &sum, sizeof(sum));
	if (o->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		((struct rte_udp_hdr *)at(segment, o->csum_start))->dgram_len = is;
	else
		set_tcp(at(segment, o->csum_start), part);
	net_meta(segment)->offload = (struct net_offload){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = o->csum_start,
		.csum_offset = o->csum_offset,
	};
}

/* drop_options - of IPv4, those that only a first fragment has, leaving their room. RFC 791. */
static void drop_options(struct rte_ipv4_hdr *ip)
{
	uint8_t *option = (uint8_t *)(ip + 1), *end = (uint8_t *)ip + rte_ipv4_hdr_len(ip);

	while (option < end && *option != OPTION_END) {
		uint8_t bytes = *option != OPTION_NOP && end - option > 1 ? option[1] : 1;

		if (!bytes || bytes > end - option)
			return;
		if (!(*option & OPTION_COPIED))
			memset(option, OPTION_NOP, bytes);
		option += bytes;
	}
}

static void set_fragment4(struct rte_mbuf *segment, const struct cut *cut, const struct part *part,
			  uint32_t id)
{
	struct rte_ipv4_hdr *ip = at(segment, cut->offload.l3);
	uint32_t more = part->last ? 0 : RTE_IPV4_HDR_MF_FLAG;

	/* With "don't fragment", which the driver cannot mean, an identification says nothing. */
	if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG))
		ip->packet_id = (uint16_t)id;
	ip->fragment_offset = rte_cpu_to_be_16((uint16_t)(part->offset / 8 | more));
	if (part->index)
		drop_options(ip);
	net_ip_set_bytes(segment, cut->offload.ip, cut->offload.l3);
}

/* set_fragment6 - there is room for a fragment header behind the other headers. */
static void set_fragment6(struct rte_mbuf *segment, const struct cut *cut, const struct part *part,
			  uint32_t id)
{
	uint32_t offset = cut->offload.l3 + sizeof(struct rte_ipv6_hdr);
	struct rte_ipv6_hdr *ip = at(segment, cut->offload.l3);
	struct rte_ipv6_fragment_ext *fragment = at(segment, cut->header_bytes);
	uint8_t *next = &ip->proto;

	/* The last header before it: they were read before, and end where the payload begins. */
	while (offset < cut->header_bytes) {
		next = at(segment, offset);
		offset += (next[1] + 1u) * 8;
	}
	fragment->next_header = *next;
	fragment->reserved = 0;
	fragment->frag_data = rte_cpu_to_be_16((uint16_t)(part->offset | !part->last));
	fragment->id = id;
	*next = IPPROTO_FRAGMENT;
	net_ip_set_bytes(segment, cut->offload.ip, cut->offload.l3);
}

/* cut_frame - the segments, or fragments with the identification @id. Return: how many; 0: no
 * memory, and there are none. */
static unsigned cut_frame(struct cut *cut, net_takes takes, uint32_t id, struct rte_mbuf **out)
{
	const struct net_offload *o = &cut->offload;
	bool fragments = o->gso_type == VIRTIO_NET_HDR_GSO_UDP;
	uint32_t extra = fragments && o->ip == 6 ? sizeof(struct rte_ipv6_fragment_ext) : 0;
	struct part part = {0};
	unsigned num = 0;

	for (; !part.last; part.offset += part.bytes, part.index++) {
		struct rte_mbuf *segment = new_segment(cut, extra);

		if (!segment)
			goto no_memory;
		out[num++] = segment;
		part.bytes = min_of(cut->payload_bytes - part.offset, (uint32_t)o->gso_bytes);
		part.last = part.offset + part.bytes == cut->payload_bytes;
		if (add_payload(segment, &cut->payload, part.bytes))
			goto no_memory;
		if (!fragments)
			set_headers(segment, cut, &part);
		else if (o->ip == 4)
			set_fragment4(segment, cut, &part, id);
		else
			set_fragment6(segment, cut, &part, id);
		if (!net_offload_done(segment, takes))
			net_checksum_fill(segment);
	}
	return num;

no_memory:
	rte_pktmbuf_free_bulk(out, num);
	return 0;
}

/* segment - as net_offload_soften(), but leaves @frame. */
static unsigned segment(struct rte_mbuf *frame, net_takes takes, struct rte_mbuf **out,
			unsigned max, int *error)
{
	struct cut cut = {.frame = frame, .offload = net_meta(frame)->offload};
	uint32_t bytes = net_frame_bytes(frame);
	struct net_headers h;
	unsigned num;

	cut.header_bytes = cut.offload.header_bytes;
	if (cut.offload.gso_type == VIRTIO_NET_HDR_GSO_UDP) {
		net_headers_parse(&h, rte_pktmbuf_mtod(frame, const uint8_t *), frame->data_len,
				  bytes);
		cut.header_bytes = h.fragmentable;
		net_checksum_fill(frame); /* of the datagram as a whole */
	}
	cut.payload_bytes = bytes - cut.header_bytes;
	if (cut.payload_bytes > (uint64_t)max * cut.offload.gso_bytes) {
		*error = -E2BIG;
		return 0;
	}
	net_cursor_init(&cut.payload, frame, cut.header_bytes);
	num = cut_frame(&cut, takes, (uint32_t)rte_rand(), out);
	if (!num)
		*error = -ENOMEM;
	return num;
}

unsigned net_offload_soften(struct rte_mbuf *frame, net_takes takes, struct rte_mbuf **out,
			    unsigned max, int *error)
{
	unsigned num;

	if (net_offload_done(frame, takes)) {
		out[0] = frame;
		return 1;
	}
	if (net_meta(frame)->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		net_checksum_fill(frame);
		out[0] = frame;
		return 1;
	}
	num = segment(frame, takes, out, max, error);
	rte_pktmbuf_free(frame);
	return num;
}
