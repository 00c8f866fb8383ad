/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_offload.c - a virtio_net_hdr is believed where it fits its frame; what a port takes it
 * takes as it is, and a guest is shown what is left to it. Tests net/offload.
 */
#include "tests/unit/net_offload_rig.h"

START_TEST(a_header_that_asks_for_nothing)
{
	struct net_offload o;

	make(4, IPPROTO_TCP, 100);
	hdr = (struct virtio_net_hdr){.csum_start = 0xffff, .gso_size = 9, .hdr_len = 0xffff};
	ck_assert(check_with(0, &o));
	ck_assert_uint_eq(o.flags, 0);
	/* Bits that are the device's to set, or of no meaning, are ignored. */
	hdr.flags = (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ck_assert(check_with(0, &o));
	ck_assert_uint_eq(o.flags, 0);
}
END_TEST

START_TEST(a_sum_is_believed)
{
	struct net_offload o;

	make(6, IPPROTO_UDP, 100);
	ck_assert(check_with(BIT(CSUM), &o));
	ck_assert_uint_eq(o.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(o.gso_type, 0);
	ck_assert_uint_eq(o.csum_start, p.l4);
	ck_assert_uint_eq(o.csum_offset, 6);
}
END_TEST

START_TEST(segmentation_is_believed_of_what_fits)
{
	static const struct {
		uint8_t ip, protocol, gso_type;
	} rows[] = {
		{4, IPPROTO_TCP, TCPV4}, {4, IPPROTO_TCP, TCPV4 | ECN}, {6, IPPROTO_TCP, TCPV6},
		{4, IPPROTO_UDP, USO},   {6, IPPROTO_UDP, USO},         {4, IPPROTO_UDP, UFO},
		{6, IPPROTO_UDP, UFO},
	};
	struct net_offload o;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make_gso(rows[i].ip, rows[i].protocol, rows[i].gso_type, 1000);
		hdr.hdr_len = (uint16_t)(i * 1000); /* means nothing */
		ck_assert(check_with(SENDER, &o));
		ck_assert_uint_eq(o.gso_type, rows[i].gso_type);
		ck_assert_uint_eq(o.gso_bytes, 1000);
		ck_assert_uint_eq(o.header_bytes, p.payload);
		ck_assert_uint_eq(o.ip, rows[i].ip);
		ck_assert_uint_eq(o.l3, p.l3);
	}
}
END_TEST

START_TEST(what_fits_one_segment_is_not_cut)
{
	struct net_offload o;

	make_gso(4, IPPROTO_TCP, TCPV4, 5000);
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(o.gso_type, 0);
	hdr.gso_size = 4999;
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.gso_type, TCPV4);
	/* The UDP header is a part of what fragments share out. */
	make_gso(4, IPPROTO_UDP, UFO, 5008);
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.gso_type, 0);
	hdr.gso_size = 5007;
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.gso_type, UFO);
	ck_assert_uint_eq(o.gso_bytes, 5000);
	/* Ethernet's padding of a short one does not matter. */
	make(4, IPPROTO_TCP, 0);
	packet_add_zeros(&p, 6);
	hdr.gso_type = TCPV4;
	hdr.gso_size = 1000;
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.gso_type, 0);
}
END_TEST

START_TEST(cwr_without_the_ecn_bit_is_seen)
{
	struct net_offload o;

	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	p.data[p.l4 + 13] |= PACKET_CWR;
	ck_assert(check_with(SENDER & ~BIT(HOST_ECN), &o));
	ck_assert_uint_eq(o.gso_type, TCPV4 | ECN);
}
END_TEST

START_TEST(every_kind_needs_its_feature)
{
	static const struct {
		uint8_t ip, protocol, gso_type;
		net_takes needs;
	} rows[] = {
		{4, IPPROTO_TCP, 0, 0},
		{4, IPPROTO_TCP, TCPV4, BIT(GUEST_TSO4)},
		{4, IPPROTO_TCP, TCPV4 | ECN, BIT(GUEST_TSO4) | BIT(GUEST_ECN)},
		{6, IPPROTO_TCP, TCPV6, BIT(GUEST_TSO6)},
		{6, IPPROTO_TCP, TCPV6 | ECN, BIT(GUEST_TSO6) | BIT(GUEST_ECN)},
		{4, IPPROTO_UDP, USO, BIT(GUEST_USO4)},
		{6, IPPROTO_UDP, USO, BIT(GUEST_USO6)},
		{4, IPPROTO_UDP, UFO, BIT(GUEST_UFO)},
		{6, IPPROTO_UDP, UFO, BIT(GUEST_UFO)},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		net_takes needs = rows[i].needs | BIT(GUEST_CSUM);
		struct rte_mbuf *frame;

		make_gso(rows[i].ip, rows[i].protocol, rows[i].gso_type, 1000);
		frame = frame_of_packet();
		ck_assert(net_offload_check(frame, &hdr, SENDER));
		ck_assert(net_offload_done(frame, needs));
		ck_assert(net_offload_done(frame, TAKES_ALL));
		for (unsigned bit = 0; bit < 64; bit++) {
			if (needs & 1ull << bit)
				ck_assert(!net_offload_done(frame, TAKES_ALL & ~(1ull << bit)));
		}
		rte_pktmbuf_free(frame);
	}
	make(4, IPPROTO_TCP, 10);
	hdr.flags = 0;
	ck_assert_uint_eq(soften_all(0), 1);
	ck_assert_uint_eq(read_out(0), p.bytes);
	ck_assert_mem_eq(bytes, p.data, p.bytes);
	rte_pktmbuf_free(out[0]);
}
END_TEST

START_TEST(the_header_that_is_shown)
{
	struct virtio_net_hdr_v1_hash shown, none = {.hdr.num_buffers = 1};
	struct rte_mbuf *frame;

	make_gso(6, IPPROTO_TCP, TCPV6, 1000);
	frame = frame_of_packet();
	ck_assert(net_offload_check(frame, &hdr, SENDER));
	memset(&shown, 0xff, sizeof(shown));
	net_offload_header(frame, TAKES_ALL, &shown);
	ck_assert_uint_eq(shown.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(shown.hdr.gso_type, TCPV6);
	ck_assert_uint_eq(shown.hdr.hdr_len, p.payload);
	ck_assert_uint_eq(shown.hdr.gso_size, 1000);
	ck_assert_uint_eq(shown.hdr.csum_start, p.l4);
	ck_assert_uint_eq(shown.hdr.csum_offset, 16);
	ck_assert_uint_eq(shown.hdr.num_buffers, 1);
	ck_assert_uint_eq(shown.hash_report, VIRTIO_NET_HASH_REPORT_NONE);
	ck_assert_uint_eq(shown.hash_value, 0);
	net_meta(frame)->offload = (struct net_offload){.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	net_offload_header(frame, 0, &shown); /* flags are zero without GUEST_CSUM */
	ck_assert_mem_eq(&shown, &none, sizeof(shown));
	net_meta(frame)->hash = 0x12345678;
	net_meta(frame)->hash_type = VIRTIO_NET_HASH_REPORT_TCPv6;
	net_offload_header(frame, TAKES_ALL, &shown);
	ck_assert_uint_eq(shown.hdr.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	ck_assert_uint_eq(shown.hash_value, 0x12345678);
	ck_assert_uint_eq(shown.hash_report, VIRTIO_NET_HASH_REPORT_TCPv6);
	rte_pktmbuf_free(frame);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_offload");
	TCase *tc = tcase_create("offload");

	rig_start();
	tcase_add_checked_fixture(tc, NULL, all_free);
	tcase_add_test(tc, a_header_that_asks_for_nothing);
	tcase_add_test(tc, a_sum_is_believed);
	tcase_add_test(tc, segmentation_is_believed_of_what_fits);
	tcase_add_test(tc, what_fits_one_segment_is_not_cut);
	tcase_add_test(tc, cwr_without_the_ecn_bit_is_seen);
	tcase_add_test(tc, every_kind_needs_its_feature);
	tcase_add_test(tc, the_header_that_is_shown);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
