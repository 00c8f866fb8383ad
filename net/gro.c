/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gro.c - joins TCP segments that follow each other, within a burst. RFC 9293.
 * lcore threads. Layer L5. Segmenting what was joined gives the same segments again: what could not
 * be made anew from the first one's headers keeps segments apart.
 */
#include "net/gro.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <string.h>

#include "net/checksum.h"
#include "net/headers.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

#define MAX_FLOWS    8 /* that are being joined at a time */
#define MAX_HEADERS  (14 + 2 * 4 + 60 + 60) /* Ethernet, two tags, IPv4 and TCP with options */
#define MAX_IP_BYTES 65535
#define TCP_CHECKSUM 16 /* offset in the header */

/* A TCP segment that came in. */
struct segment {
	struct rte_mbuf *frame;
	struct net_headers h;
	uint32_t bytes; /* of payload */
	uint32_t sequence;
	uint16_t id; /* of IPv4 */
	bool id_matters; /* it may be fragmented */
	bool push;
	uint8_t same[MAX_HEADERS]; /* its headers, without what differs from segment to segment */
};

/* Segments of one flow: the first, which others are joined to. */
struct flow {
	struct segment first;
	struct rte_mbuf *tail; /* the last mbuf */
	uint32_t num; /* of segments; 0: the slot is free */
	uint32_t next_sequence;
	uint16_t next_id;
	bool verified; /* the first one's checksum is good */
};

/* clear_differences - in the copy of a segment's headers. */
static void clear_differences(struct segment *s)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(s->same + s->h.l4);

	if (s->h.ip == 4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(s->same + s->h.l3);

		s->id = rte_be_to_cpu_16(ip->packet_id);
		s->id_matters = !(ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG));
		ip->total_length = 0;
		ip->packet_id = 0;
		ip->hdr_checksum = 0;
	} else {
		((struct rte_ipv6_hdr *)(s->same + s->h.l3))->payload_len = 0;
	}
	s->sequence = rte_be_to_cpu_32(tcp->sent_seq);
	s->push = tcp->tcp_flags & RTE_TCP_PSH_FLAG;
	tcp->sent_seq = 0;
	tcp->cksum = 0;
	tcp->tcp_flags &= (uint8_t)~RTE_TCP_PSH_FLAG;
}

/* read_segment - Return: false: @frame is no TCP. */
static bool read_segment(struct segment *s, struct rte_mbuf *frame)
{
	const uint8_t *data = rte_pktmbuf_mtod(frame, const uint8_t *);
	struct net_headers *h = &s->h;

	if (!net_headers_parse(h, data, frame->data_len, net_frame_bytes(frame)) ||
	    h->protocol != IPPROTO_TCP || !h->payload || h->payload > sizeof(s->same))
		return false;
	s->frame = frame;
	s->id = 0;
	s->id_matters = false;
	s->bytes = h->l3 + h->l3_bytes - h->payload;
	memcpy(s->same, data, h->payload);
	clear_differences(s);
	return true;
}

/* may_join - as the first of a flow, or a later one, as far as the segment itself goes. */
static bool may_join(const struct segment *s, net_takes takes)
{
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(s->same + s->h.l4);
	const struct net_frame_meta *meta = net_meta(s->frame);

	return s->bytes && tcp->tcp_flags == RTE_TCP_ACK_FLAG && !s->h.extended &&
	       takes & (s->h.ip == 4 ? BIT(GUEST_TSO4) : BIT(GUEST_TSO6)) && !meta->rest_bytes &&
	       !(meta->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	       s->h.payload < s->frame->data_len && s->h.payload + s->bytes == s->frame->pkt_len;
}

/* verify - the checksums of a segment that may join. */
static bool verify(const struct segment *s)
{
	const void *ip = rte_pktmbuf_mtod_offset(s->frame, const void *, s->h.l3);
	uint16_t pseudo;

	if (s->h.ip == 4 && rte_raw_cksum(ip, s->h.l4 - s->h.l3) != 0xffff)
		return false;
	if (net_meta(s->frame)->offload.flags & VIRTIO_NET_HDR_F_DATA_VALID)
		return true;
	pseudo = s->h.ip == 4 ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv6_phdr_cksum(ip, 0);
	return net_sum_add(net_sum_frame(s->frame, s->h.l4, UINT32_MAX), pseudo) == 0xffff;
}

/* same_flow - addresses, ports, and where they are. */
static bool same_flow(const struct segment *a, const struct segment *b)
{
	uint32_t addresses = a->h.ip == 4 ? 12 : 8, bytes = a->h.ip == 4 ? 2 * 4 : 2 * 16;

	return a->h.ip == b->h.ip && a->h.l3 == b->h.l3 &&
	       !memcmp(a->same + a->h.l3 + addresses, b->same + b->h.l3 + addresses, bytes) &&
	       !memcmp(a->same + a->h.l4, b->same + b->h.l4, 4);
}

static bool follows(struct flow *flow, const struct segment *s)
{
	const struct segment *first = &flow->first;

	if (s->sequence != flow->next_sequence || s->bytes > first->bytes ||
	    first->frame->pkt_len - first->h.l3 + s->bytes > MAX_IP_BYTES ||
	    (s->id_matters && s->id != flow->next_id))
		return false;
	if (s->h.payload != first->h.payload || memcmp(s->same, first->same, s->h.payload))
		return false;
	if (!flow->verified)
		flow->verified = verify(first);
	return flow->verified && verify(s);
}

static void advance(struct flow *flow, const struct segment *s)
{
	flow->num++;
	flow->tail = rte_pktmbuf_lastseg(s->frame);
	flow->next_sequence = s->sequence + s->bytes;
	flow->next_id = (uint16_t)(s->id + 1);
}

static void join(struct flow *flow, const struct segment *s)
{
	struct rte_mbuf *first = flow->first.frame, *frame = s->frame;

	rte_pktmbuf_adj(frame, s->h.payload);
	flow->tail->next = frame;
	first->nb_segs = (uint16_t)(first->nb_segs + frame->nb_segs);
	first->pkt_len += frame->pkt_len;
	flow->first.push |= s->push;
	advance(flow, s);
}

/* end_flow - nothing follows: what was joined becomes a frame to be segmented. */
static void end_flow(struct flow *flow)
{
	const struct net_headers *h = &flow->first.h;
	struct rte_mbuf *frame = flow->first.frame;
	const void *ip = rte_pktmbuf_mtod_offset(frame, const void *, h->l3);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(frame, struct rte_tcp_hdr *, h->l4);

	if (flow->num > 1) {
		net_ip_set_bytes(frame, h->ip, h->l3);
		if (flow->first.push)
			tcp->tcp_flags |= RTE_TCP_PSH_FLAG;
		tcp->cksum = h->ip == 4 ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv6_phdr_cksum(ip, 0);
		net_meta(frame)->offload = (struct net_offload){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type =
				h->ip == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
			.header_bytes = h->payload,
			.gso_bytes = (uint16_t)flow->first.bytes,
			.csum_start = h->l4,
			.csum_offset = TCP_CHECKSUM,
			.ip = h->ip,
			.l3 = (uint8_t)h->l3,
		};
	}
	flow->num = 0;
}

/* take - Return: was it joined to an earlier frame? */
static bool take(struct flow *flows, unsigned *victim, const struct segment *s, net_takes takes)
{
	bool may = may_join(s, takes);
	struct flow *flow = NULL;

	for (unsigned i = 0; i < MAX_FLOWS && !flow; i++) {
		if (flows[i].num && same_flow(&flows[i].first, s))
			flow = &flows[i];
	}
	if (flow && may && follows(flow, s)) {
		join(flow, s);
		if (s->push || s->bytes < flow->first.bytes)
			end_flow(flow);
		return true;
	}
	/* The order within a flow stays: nothing later is joined past this one. */
	if (flow)
		end_flow(flow);
	if (!may || s->push)
		return false;
	if (!flow) {
		flow = &flows[(*victim)++ % MAX_FLOWS];
		if (flow->num)
			end_flow(flow);
	}
	flow->first = *s;
	flow->verified = false;
	advance(flow, s);
	return false;
}

unsigned net_gro(struct rte_mbuf **frames, unsigned n, net_takes takes)
{
	struct flow flows[MAX_FLOWS];
	unsigned left = 0, victim = 0;
	struct segment s;

	if (n < 2 || !(takes & BIT(GUEST_CSUM)) || !(takes & (BIT(GUEST_TSO4) | BIT(GUEST_TSO6))))
		return n;
	for (unsigned i = 0; i < MAX_FLOWS; i++)
		flows[i].num = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!read_segment(&s, frames[i]) || !take(flows, &victim, &s, takes))
			frames[left++] = frames[i];
	}
	for (unsigned i = 0; i < MAX_FLOWS; i++) {
		if (flows[i].num)
			end_flow(&flows[i]);
	}
	return left;
}
