/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_segment.c - what a port does not take is done: sums, segments, fragments. They are compared
 * with Scapy's in test_net_scapy. Tests net/segment, net/checksum.
 */
#include "tests/unit/net_offload_rig.h"

START_TEST(udp_never_has_a_sum_of_zero)
{
	uint32_t sum;

	make(4, IPPROTO_UDP, 100);
	/* The last two bytes make it zero. */
	packet_be16(p.data + p.bytes - 2, 0);
	sum = packet_sum(p.data + p.l4, p.bytes - p.l4, 0);
	packet_be16(p.data + p.bytes - 2, ~sum);
	ck_assert_uint_eq(soften_all(0), 1);
	read_out(0);
	ck_assert_uint_eq(packet_get16(bytes + p.l4 + 6), 0xffff);
	rte_pktmbuf_free(out[0]);
	/* To others zero is a sum like any. */
	hdr.csum_offset = 4;
	packet_be16(p.data + p.l4 + 6, 0);
	packet_be16(p.data + p.bytes - 2, 0);
	sum = packet_sum(p.data + p.l4, p.bytes - p.l4, 0);
	packet_be16(p.data + p.bytes - 2, ~sum);
	ck_assert_uint_eq(soften_all(0), 1);
	read_out(0);
	ck_assert_uint_eq(packet_get16(bytes + p.l4 + 4), 0);
	rte_pktmbuf_free(out[0]);
}
END_TEST

START_TEST(segments_of_tcp)
{
	unsigned n;

	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	p.data[p.l4 + 13] |= PACKET_FIN | PACKET_CWR;
	n = soften_all(0);
	ck_assert_uint_eq(n, 5);
	for (unsigned i = 0; i < n; i++) {
		uint32_t got = read_out(i);
		uint8_t flags = bytes[p.l4 + 13];

		ck_assert_uint_eq(got, p.payload + 1000);
		ck_assert_uint_eq(packet_get16(bytes + p.l3 + 2), got - p.l3);
		ck_assert_uint_eq(packet_get16(bytes + p.l3 + 4), (0xfffe + i) & 0xffff);
		ck_assert_uint_eq(packet_sum(bytes + p.l3, 20, 0), 0xffff);
		ck_assert_uint_eq(packet_get32(bytes + p.l4 + 4), 0xffffff00 + i * 1000);
		ck_assert(!!(flags & (PACKET_FIN | PACKET_PSH)) == (i == 4));
		ck_assert(!!(flags & PACKET_CWR) == (i == 0));
		ck_assert(packet_summed(&p, bytes, got));
		ck_assert_mem_eq(bytes + p.payload, p.data + p.payload + i * 1000, 1000);
		ck_assert_uint_eq(net_meta(out[i])->offload.flags, 0);
		rte_pktmbuf_free(out[i]);
	}
}
END_TEST

START_TEST(what_was_borrowed_stays_where_it_is)
{
	const struct iovec *rest;
	struct rte_mbuf *frame;
	unsigned n;
	int error;

	make_gso(6, IPPROTO_UDP, USO, 1000);
	frame = frame_of_packet();
	net_meta(frame)->from = 7;
	net_meta(frame)->hash_type = 3;
	ck_assert(net_offload_check(frame, &hdr, SENDER));
	n = net_offload_soften(frame, BIT(GUEST_CSUM), out, NET_MAX_SEGMENTS, &error);
	ck_assert_uint_eq(n, 5);
	for (unsigned i = 0; i < n; i++) {
		/* Of the first, what the frame's mbuf held is copied. */
		uint32_t copied = i ? p.payload : NET_HEADER_BYTES;

		ck_assert_uint_eq(out[i]->pkt_len, copied);
		ck_assert_uint_eq(net_meta(out[i])->rest_bytes, p.payload + 1000 - copied);
		rest = net_meta(out[i])->rest;
		ck_assert((uint8_t *)rest[0].iov_base >= rig_borrowed &&
			  (uint8_t *)rest[0].iov_base < rig_borrowed + sizeof(rig_borrowed));
		ck_assert_uint_eq(net_meta(out[i])->from, 7);
		ck_assert_uint_eq(net_meta(out[i])->hash_type, 3);
		ck_assert_int_eq(net_frame_own(out[i]), 0);
		ck_assert_uint_eq(read_out(i), p.payload + 1000);
		ck_assert_mem_eq(bytes + p.payload, p.data + p.payload + i * 1000, 1000);
		rte_pktmbuf_free(out[i]);
	}
}
END_TEST

/* It is gone with the frame. */
START_TEST(what_lay_in_mbufs_is_copied)
{
	for (uint32_t linear = 60; linear <= NET_MBUF_BYTES; linear += 1988) {
		struct rte_mbuf *frame;
		unsigned n;
		int error;

		make_gso(4, IPPROTO_UDP, USO, 1000);
		frame = rig_frame(p.data, p.bytes, linear, 0);
		ck_assert(net_offload_check(frame, &hdr, SENDER));
		n = net_offload_soften(frame, 0, out, NET_MAX_SEGMENTS, &error);
		ck_assert_uint_eq(n, 5);
		for (unsigned i = 0; i < n; i++) {
			ck_assert_uint_eq(net_meta(out[i])->rest_bytes, 0);
			ck_assert_uint_eq(out[i]->pkt_len, p.payload + 1000);
			rte_pktmbuf_free(out[i]);
		}
	}
}
END_TEST

/* More pieces than a segment has room to remember. */
START_TEST(many_small_pieces)
{
	struct rte_mbuf *frame;
	unsigned n;
	int error;

	for (uint32_t piece = 2; piece < 300; piece += 31) {
		make_gso(4, IPPROTO_TCP, TCPV4, 2999);
		frame = rig_frame(p.data, p.bytes, NET_HEADER_BYTES, piece);
		ck_assert(net_offload_check(frame, &hdr, SENDER));
		n = net_offload_soften(frame, 0, out, NET_MAX_SEGMENTS, &error);
		ck_assert_uint_eq(n, 2);
		for (unsigned i = 0; i < n; i++) {
			uint32_t got = read_out(i);

			ck_assert_mem_eq(bytes + p.payload, p.data + p.payload + i * 2999,
					 got - p.payload);
			ck_assert(packet_summed(&p, bytes, got));
			rte_pktmbuf_free(out[i]);
		}
	}
}
END_TEST

START_TEST(options_of_the_first_fragment_only)
{
	static const uint8_t options[] = {7, 7, 4, 0, 0, 0, 0, 1, 0x94, 4, 0, 0};
	static const uint8_t later[] = {1, 1, 1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0};

	packet_ether(&p, 0x0800);
	packet_ipv4(&p, IPPROTO_UDP, sizeof(options));
	memcpy(p.data + p.l3 + 20, options, sizeof(options));
	packet_udp(&p);
	packet_add(&p, 3000, 0);
	packet_end(&p);
	hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .gso_type = UFO,
				      .gso_size = 1480,
				      .csum_start = (uint16_t)p.l4,
				      .csum_offset = 6};
	ck_assert_uint_eq(soften_all(TAKES_ALL & ~BIT(GUEST_UFO)), 3);
	for (unsigned i = 0; i < 3; i++) {
		read_out(i);
		ck_assert_mem_eq(bytes + p.l3 + 20, i ? later : options, sizeof(options));
		ck_assert_uint_eq(packet_sum(bytes + p.l3, 32, 0), 0xffff);
		ck_assert_uint_eq(packet_get16(bytes + p.l3 + 6), i * 185 + (i < 2 ? 0x2000 : 0));
		rte_pktmbuf_free(out[i]);
	}
}
END_TEST

/* The field says nothing then, and might be the same in every datagram. */
START_TEST(fragments_of_what_was_not_to_be_have_an_identification)
{
	unsigned same = 0;

	for (unsigned i = 0; i < 4; i++) {
		make_gso(4, IPPROTO_UDP, UFO, 2504);
		packet_be16(p.data + p.l3 + 6, 0x4000);
		packet_be16(p.data + p.l3 + 4, 0);
		ck_assert_uint_eq(soften_all(0), 2);
		read_out(0);
		same += !packet_get16(bytes + p.l3 + 4);
		ck_assert_uint_eq(packet_get16(bytes + p.l3 + 6), 0x2000);
		memcpy(p.data, bytes, p.l4);
		read_out(1);
		ck_assert_mem_eq(bytes + p.l3 + 4, p.data + p.l3 + 4, 2);
		rte_pktmbuf_free_bulk(out, 2);
	}
	ck_assert_uint_lt(same, 4);
}
END_TEST

START_TEST(more_segments_than_there_is_room_for)
{
	int error;

	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	ck_assert_uint_eq(soften(0, 4, &error), 0);
	ck_assert_int_eq(error, -E2BIG);
	ck_assert(rig_all_free());
	ck_assert_uint_eq(soften(0, 5, &error), 5);
	rte_pktmbuf_free_bulk(out, 5);
	make_gso(6, IPPROTO_UDP, UFO, 1000);
	ck_assert_uint_eq(soften(0, 5, &error), 0);
	ck_assert_int_eq(error, -E2BIG);
	ck_assert_uint_eq(soften(0, 6, &error), 6);
	rte_pktmbuf_free_bulk(out, 6);
}
END_TEST

START_TEST(an_empty_pool)
{
	static struct rte_mbuf *held[RIG_MBUFS];
	struct rte_mbuf *frame;
	unsigned num = 0;
	int error = 0;

	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	frame = frame_of_packet();
	ck_assert(net_offload_check(frame, &hdr, SENDER));
	while ((held[num] = rte_pktmbuf_alloc(rig_pool)))
		num++;
	for (unsigned i = 0; i < 3; i++)
		rte_pktmbuf_free(held[--num]);
	ck_assert_uint_eq(net_offload_soften(frame, 0, out, NET_MAX_SEGMENTS, &error), 0);
	ck_assert_int_eq(error, -ENOMEM);
	rte_pktmbuf_free_bulk(held, num);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_segment");
	TCase *tc = tcase_create("segment");

	rig_start();
	tcase_add_checked_fixture(tc, NULL, all_free);
	tcase_add_test(tc, udp_never_has_a_sum_of_zero);
	tcase_add_test(tc, segments_of_tcp);
	tcase_add_test(tc, what_was_borrowed_stays_where_it_is);
	tcase_add_test(tc, what_lay_in_mbufs_is_copied);
	tcase_add_test(tc, many_small_pieces);
	tcase_add_test(tc, options_of_the_first_fragment_only);
	tcase_add_test(tc, fragments_of_what_was_not_to_be_have_an_identification);
	tcase_add_test(tc, more_segments_than_there_is_room_for);
	tcase_add_test(tc, an_empty_pool);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
