/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_offload_rig.h - a packet, the virtio_net_hdr that a driver would put before it, and what comes
 * of both. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_NET_OFFLOAD_RIG_H
#define RINGSIDE_TESTS_UNIT_NET_OFFLOAD_RIG_H

#include <errno.h>

#include "net/offload.h"
#include "tests/unit/net_frame_rig.h"
#include "tests/unit/net_packet_rig.h"
#include "tests/unit/support.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

#define SENDER                                                                         \
	(BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO) | \
	 BIT(HOST_USO))
#define TAKES_ALL                                                                                \
	(BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) | BIT(GUEST_UFO) | \
	 BIT(GUEST_USO4) | BIT(GUEST_USO6))

#define TCPV4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6 VIRTIO_NET_HDR_GSO_TCPV6
#define UFO   VIRTIO_NET_HDR_GSO_UDP
#define USO   VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN   VIRTIO_NET_HDR_GSO_ECN

static struct packet p;
static struct virtio_net_hdr hdr;
static struct rte_mbuf *out[NET_MAX_SEGMENTS];
static uint8_t bytes[PACKET_BYTES];

/* make - a packet with @payload bytes, and a header that asks for its sum. */
static inline void make(uint8_t ip, uint8_t protocol, uint32_t payload)
{
	packet_ether(&p, ip == 4 ? 0x0800 : 0x86dd);
	if (ip == 4)
		packet_ipv4(&p, protocol, 0);
	else
		packet_ipv6(&p, protocol);
	if (protocol == IPPROTO_TCP)
		packet_tcp(&p, 12, PACKET_ACK | PACKET_PSH);
	else
		packet_udp(&p);
	packet_add(&p, payload, 0);
	packet_end(&p);
	hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)p.l4,
		.csum_offset = (uint16_t)packet_csum_offset(&p),
	};
}

static inline void make_gso(uint8_t ip, uint8_t protocol, uint8_t gso_type, uint16_t gso_size)
{
	make(ip, protocol, 5000);
	hdr.gso_type = gso_type;
	hdr.gso_size = gso_size;
}

static inline struct rte_mbuf *frame_of_packet(void)
{
	return rig_frame(p.data, p.bytes, NET_HEADER_BYTES, 1500);
}

static inline bool check_with(uint64_t features, struct net_offload *o)
{
	struct rte_mbuf *frame = frame_of_packet();
	bool ret = net_offload_check(frame, &hdr, features);

	*o = net_meta(frame)->offload;
	rte_pktmbuf_free(frame);
	return ret;
}

static inline bool check(void)
{
	struct net_offload o;

	return check_with(SENDER, &o);
}

/* expect_refused - whatever else the header says. */
static inline void expect_refused(void)
{
	struct net_offload o;

	ck_assert(!check_with(SENDER, &o));
	ck_assert_uint_eq(o.flags, 0);
	ck_assert_uint_eq(o.gso_type, 0);
}

/* soften - Return: frames, in out[]. */
static inline unsigned soften(net_takes takes, unsigned max, int *error)
{
	struct rte_mbuf *frame = frame_of_packet();

	ck_assert(net_offload_check(frame, &hdr, SENDER));
	*error = 0;
	return net_offload_soften(frame, takes, out, max, error);
}

static inline unsigned soften_all(net_takes takes)
{
	int error;
	unsigned n = soften(takes, NET_MAX_SEGMENTS, &error);

	ck_assert_int_eq(error, 0);
	return n;
}

static inline uint32_t read_out(unsigned i)
{
	uint32_t n = net_frame_bytes(out[i]);

	net_frame_read(out[i], 0, bytes, n);
	return n;
}

static inline void all_free(void)
{
	ck_assert(rig_all_free());
}

#endif
