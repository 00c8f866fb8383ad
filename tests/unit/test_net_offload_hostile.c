/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_offload_hostile.c - a virtio_net_hdr that does not fit its frame is refused. Tests
 * net/offload.
 */
#include "tests/unit/net_offload_rig.h"

START_TEST(h44_csum_start_beyond_the_frame)
{
	make(4, IPPROTO_TCP, 100);
	hdr.csum_start = (uint16_t)p.bytes;
	expect_refused();
	hdr.csum_start = (uint16_t)(p.bytes - 1);
	hdr.csum_offset = 0;
	expect_refused();
	hdr.csum_start = (uint16_t)(p.bytes - 2);
	ck_assert(check());
	hdr.csum_start = 0xffff;
	hdr.csum_offset = 0xffff;
	expect_refused();
}
END_TEST

START_TEST(h44_csum_offset_beyond_the_frame)
{
	make(4, IPPROTO_TCP, 100);
	hdr.csum_offset = (uint16_t)(p.bytes - p.l4 - 1);
	expect_refused();
	hdr.csum_offset = (uint16_t)(p.bytes - p.l4 - 2);
	ck_assert(check());
	hdr.csum_offset = 0xffff;
	expect_refused();
	hdr.csum_offset = (uint16_t)(0x10000 - p.l4); /* the sum of both is 0 in 16 bits */
	expect_refused();
}
END_TEST

/* The bytes there are the guest's, and may change. */
START_TEST(h44_csum_in_the_borrowed_part)
{
	make(4, IPPROTO_TCP, 1000);
	hdr.csum_start = NET_HEADER_BYTES - 2;
	hdr.csum_offset = 0;
	ck_assert(check());
	hdr.csum_offset = 1;
	expect_refused();
	hdr.csum_start = 900;
	expect_refused();
}
END_TEST

/* They were looked at before: by the switch, or a lock of the port to its address. */
START_TEST(h44_csum_in_the_ethernet_header)
{
	make(4, IPPROTO_TCP, 100);
	hdr.csum_start = 13;
	expect_refused();
	hdr.csum_start = 0;
	hdr.csum_offset = 34;
	expect_refused();
	hdr.csum_start = 14;
	ck_assert(check());
}
END_TEST

START_TEST(h44_csum_not_negotiated)
{
	struct net_offload o;

	make(4, IPPROTO_TCP, 100);
	ck_assert(!check_with(SENDER & ~BIT(CSUM), &o));
}
END_TEST

START_TEST(h44_gso_without_needs_csum)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	hdr.flags = 0;
	expect_refused();
	hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	expect_refused();
}
END_TEST

START_TEST(h44_gso_type_unknown)
{
	for (unsigned type = 0; type < 256; type++) {
		make_gso(4, IPPROTO_TCP, (uint8_t)type, 1000);
		ck_assert(check() == (type == 0 || type == TCPV4 || type == (TCPV4 | ECN)));
		hdr.flags = 0;
		ck_assert(check() == (type == 0));
	}
}
END_TEST

START_TEST(h44_gso_type_not_negotiated)
{
	static const struct {
		uint8_t ip, protocol, gso_type;
		uint64_t needs;
	} rows[] = {
		{4, IPPROTO_TCP, TCPV4, BIT(HOST_TSO4)},
		{6, IPPROTO_TCP, TCPV6, BIT(HOST_TSO6)},
		{4, IPPROTO_UDP, USO, BIT(HOST_USO)},
		{6, IPPROTO_UDP, USO, BIT(HOST_USO)},
		{4, IPPROTO_UDP, UFO, BIT(HOST_UFO)},
		{4, IPPROTO_TCP, TCPV4 | ECN, BIT(HOST_ECN)},
	};
	struct net_offload o;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make_gso(rows[i].ip, rows[i].protocol, rows[i].gso_type, 1000);
		ck_assert(check());
		ck_assert(!check_with(SENDER & ~rows[i].needs, &o));
	}
}
END_TEST

START_TEST(h44_gso_type_of_another_protocol)
{
	static const uint8_t types[] = {TCPV4, TCPV6, USO, UFO};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		make_gso(4, IPPROTO_TCP, types[i], 1000);
		ck_assert(check() == (types[i] == TCPV4));
		make_gso(6, IPPROTO_TCP, types[i], 1000);
		ck_assert(check() == (types[i] == TCPV6));
		make_gso(4, IPPROTO_UDP, types[i], 1000);
		ck_assert(check() == (types[i] == USO || types[i] == UFO));
		make_gso(4, IPPROTO_ICMP, types[i], 1000);
		expect_refused();
		make_gso(4, IPPROTO_TCP, types[i], 1000);
		packet_be16(p.data + 12, 0x0806); /* no IP at all */
		expect_refused();
	}
	make_gso(4, IPPROTO_UDP, USO | ECN, 1000);
	expect_refused();
	make_gso(4, IPPROTO_UDP, TCPV4, 1000);
	hdr.csum_offset = 16;
	expect_refused();
	make_gso(6, IPPROTO_TCP, USO, 1000);
	hdr.csum_offset = 6;
	expect_refused();
}
END_TEST

START_TEST(h44_gso_size_zero)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 0);
	expect_refused();
	make_gso(6, IPPROTO_UDP, USO, 0);
	expect_refused();
	make_gso(4, IPPROTO_UDP, UFO, 7); /* less than the unit of fragments */
	expect_refused();
	make(4, IPPROTO_TCP, 0);
	hdr.gso_type = TCPV4;
	expect_refused();
}
END_TEST

START_TEST(h44_gso_size_tiny_and_huge)
{
	struct net_offload o;

	make(4, IPPROTO_TCP, 63 * NET_MAX_SEGMENTS);
	hdr.gso_type = TCPV4;
	hdr.gso_size = 63;
	ck_assert(check());
	hdr.gso_size = 62;
	expect_refused();
	hdr.gso_size = 1;
	expect_refused();
	make(6, IPPROTO_UDP, 63 * NET_MAX_SEGMENTS);
	hdr.gso_type = UFO;
	hdr.gso_size = 63;
	expect_refused();
	hdr.gso_size = 0xffff;
	ck_assert(check_with(SENDER, &o));
	ck_assert_uint_eq(o.gso_type, 0);
}
END_TEST

START_TEST(h44_gso_with_a_sum_elsewhere)
{
	for (int by = -2; by <= 2; by++) {
		make_gso(4, IPPROTO_TCP, TCPV4, 1000);
		hdr.csum_start = (uint16_t)(p.l4 + by);
		ck_assert(check() == !by);
		make_gso(6, IPPROTO_UDP, USO, 1000);
		hdr.csum_offset = (uint16_t)(6 + by);
		ck_assert(check() == !by);
	}
}
END_TEST

START_TEST(h44_gso_of_fragments)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	packet_be16(p.data + p.l3 + 6, 0x2000);
	expect_refused();
	packet_be16(p.data + p.l3 + 6, 100);
	expect_refused();
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_FRAGMENT);
	packet_extension(&p, IPPROTO_UDP, 8);
	packet_udp(&p);
	packet_add(&p, 5000, 0);
	packet_end(&p);
	hdr.csum_start = (uint16_t)p.l4;
	hdr.csum_offset = 6;
	hdr.gso_type = UFO;
	expect_refused();
	hdr.gso_type = USO;
	expect_refused();
}
END_TEST

START_TEST(h44_gso_of_an_ip_length_beyond_the_frame)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	packet_be16(p.data + p.l3 + 2, p.bytes - p.l3 + 1);
	expect_refused();
	make_gso(6, IPPROTO_UDP, USO, 1000);
	packet_be16(p.data + p.l3 + 4, 0xffff);
	expect_refused();
}
END_TEST

START_TEST(h44_gso_of_an_ip_length_below_the_frame)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	packet_be16(p.data + p.l3 + 2, p.bytes - p.l3 - 1);
	expect_refused();
	packet_be16(p.data + p.l3 + 2, 0);
	expect_refused();
	packet_be16(p.data + p.l3 + 2, 30);
	expect_refused();
	make_gso(6, IPPROTO_TCP, TCPV6, 1000);
	packet_be16(p.data + p.l3 + 4, 2000);
	expect_refused();
	packet_be16(p.data + p.l3 + 4, 0);
	expect_refused();
}
END_TEST

START_TEST(h44_gso_of_tcp_headers_that_cannot_be)
{
	for (unsigned words = 0; words < 5; words++) {
		make_gso(4, IPPROTO_TCP, TCPV4, 1000);
		p.data[p.l4 + 12] = (uint8_t)(words << 4);
		expect_refused();
	}
	make(4, IPPROTO_TCP, 20);
	hdr.gso_type = TCPV4;
	hdr.gso_size = 5;
	ck_assert(check());
	p.data[p.l4 + 12] = 0xf0; /* ends behind the frame */
	expect_refused();
}
END_TEST

START_TEST(h44_gso_behind_endless_extension_headers)
{
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_DSTOPTS);
	for (unsigned i = 0; i < 100; i++)
		packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_extension(&p, IPPROTO_TCP, 8);
	packet_tcp(&p, 0, PACKET_ACK);
	packet_add(&p, 5000, 0);
	packet_end(&p);
	hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .gso_type = TCPV6,
				      .gso_size = 1000,
				      .csum_start = (uint16_t)p.l4,
				      .csum_offset = 16};
	expect_refused();
}
END_TEST

START_TEST(h44_frames_too_short_for_what_they_ask)
{
	make_gso(4, IPPROTO_TCP, TCPV4, 1000);
	for (p.bytes = 14; p.bytes < p.payload + 100; p.bytes++)
		expect_refused();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_offload_hostile");
	TCase *tc = tcase_create("offload_hostile");

	rig_start();
	tcase_add_checked_fixture(tc, NULL, all_free);
	tcase_add_test(tc, h44_csum_start_beyond_the_frame);
	tcase_add_test(tc, h44_csum_offset_beyond_the_frame);
	tcase_add_test(tc, h44_csum_in_the_borrowed_part);
	tcase_add_test(tc, h44_csum_in_the_ethernet_header);
	tcase_add_test(tc, h44_csum_not_negotiated);
	tcase_add_test(tc, h44_gso_without_needs_csum);
	tcase_add_test(tc, h44_gso_type_unknown);
	tcase_add_test(tc, h44_gso_type_not_negotiated);
	tcase_add_test(tc, h44_gso_type_of_another_protocol);
	tcase_add_test(tc, h44_gso_size_zero);
	tcase_add_test(tc, h44_gso_size_tiny_and_huge);
	tcase_add_test(tc, h44_gso_with_a_sum_elsewhere);
	tcase_add_test(tc, h44_gso_of_fragments);
	tcase_add_test(tc, h44_gso_of_an_ip_length_beyond_the_frame);
	tcase_add_test(tc, h44_gso_of_an_ip_length_below_the_frame);
	tcase_add_test(tc, h44_gso_of_tcp_headers_that_cannot_be);
	tcase_add_test(tc, h44_gso_behind_endless_extension_headers);
	tcase_add_test(tc, h44_frames_too_short_for_what_they_ask);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
