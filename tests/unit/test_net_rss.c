/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_rss.c - a flow's hash is the one that Microsoft published for it, of the type that the
 * driver enabled; frames that have none say so. Compared with another implementation in
 * test_net_scapy. Tests net/rss.
 */
#include <arpa/inet.h>

#include "net/rss.h"
#include "tests/unit/net_frame_rig.h"
#include "tests/unit/net_packet_rig.h"
#include "tests/unit/support.h"

#define TYPE(name)   VIRTIO_NET_RSS_HASH_TYPE_##name
#define REPORT(name) VIRTIO_NET_HASH_REPORT_##name

/* The key and the values of "Verifying the RSS Hash Calculation". */
static const uint8_t published_key[NET_RSS_MAX_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
	const char *to;
	uint16_t to_port;
	const char *from;
	uint16_t from_port;
	uint32_t of_addresses, of_ports;
} published[] = {
	{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
	{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
	{"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
	{"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
	{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
	{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
	{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
	{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
	 0x4b61e985, 0x02d1feef},
};

static struct packet p;
static struct net_rss rss;

static void setup(void)
{
	rss = (struct net_rss){.types = net_rss_types};
	memcpy(rss.key, published_key, sizeof(rss.key));
}

static void finish(uint16_t from, uint16_t to)
{
	packet_end(&p);
	packet_be16(p.data + p.l4, from);
	packet_be16(p.data + p.l4 + 2, to);
}

static void make_published(unsigned i, uint8_t protocol)
{
	bool ip6 = strchr(published[i].to, ':');

	packet_ether(&p, ip6 ? 0x86dd : 0x0800);
	if (ip6)
		packet_ipv6(&p, protocol);
	else
		packet_ipv4(&p, protocol, 0);
	if (protocol == IPPROTO_UDP)
		packet_udp(&p);
	else
		packet_tcp(&p, 0, PACKET_ACK);
	ck_assert_int_eq(inet_pton(ip6 ? AF_INET6 : AF_INET, published[i].from,
				   p.data + p.l3 + (ip6 ? 8 : 12)),
			 1);
	ck_assert_int_eq(inet_pton(ip6 ? AF_INET6 : AF_INET, published[i].to,
				   p.data + p.l3 + (ip6 ? 24 : 16)),
			 1);
	finish(published[i].from_port, published[i].to_port);
}

static void expect(uint16_t type, uint32_t hash)
{
	struct rte_mbuf *frame = rig_frame(p.data, p.bytes, NET_HEADER_BYTES, 1000);

	net_rss_hash(frame, &rss);
	ck_assert_uint_eq(net_meta(frame)->hash_type, type);
	if (type)
		ck_assert_uint_eq(net_meta(frame)->hash, hash);
	rte_pktmbuf_free(frame);
}

static uint32_t flow_hash(void)
{
	struct rte_mbuf *frame = rig_frame(p.data, p.bytes, NET_HEADER_BYTES, 1000);
	uint32_t hash = net_flow_hash(frame);

	rte_pktmbuf_free(frame);
	return hash;
}

START_TEST(the_published_values)
{
	for (unsigned i = 0; i < ARRAY_SIZE(published); i++) {
		make_published(i, IPPROTO_TCP);
		expect(p.ip == 4 ? REPORT(TCPv4) : REPORT(TCPv6), published[i].of_ports);
		make_published(i, IPPROTO_UDP);
		expect(p.ip == 4 ? REPORT(UDPv4) : REPORT(UDPv6), published[i].of_ports);
		rss.types = TYPE(IPv4) | TYPE(IPv6);
		expect(p.ip == 4 ? REPORT(IPv4) : REPORT(IPv6), published[i].of_addresses);
		rss.types = net_rss_types;
	}
}
END_TEST

START_TEST(the_type_that_is_enabled)
{
	/* TCP over IPv4, and over IPv6. */
	for (uint32_t types = 0; types < 512; types++) {
		rss.types = types;
		make_published(0, IPPROTO_TCP);
		if (types & TYPE(TCPv4))
			expect(REPORT(TCPv4), published[0].of_ports);
		else if (types & TYPE(IPv4))
			expect(REPORT(IPv4), published[0].of_addresses);
		else
			expect(REPORT(NONE), 0);
		make_published(5, IPPROTO_UDP);
		if (types & TYPE(UDPv6))
			expect(REPORT(UDPv6), published[5].of_ports);
		else if (types & TYPE(IPv6))
			expect(REPORT(IPv6), published[5].of_addresses);
		else
			expect(REPORT(NONE), 0); /* it has no extension header */
	}
}
END_TEST

START_TEST(all_types_are_offered)
{
	ck_assert_uint_eq(net_rss_types, 0x1ff);
}
END_TEST

START_TEST(behind_tags_and_options)
{
	packet_ether(&p, 0x8100);
	packet_tag(&p, 5, 0x0800);
	packet_ipv4(&p, IPPROTO_UDP, 8);
	packet_udp(&p);
	inet_pton(AF_INET, published[1].from, p.data + p.l3 + 12);
	inet_pton(AF_INET, published[1].to, p.data + p.l3 + 16);
	finish(published[1].from_port, published[1].to_port);
	expect(REPORT(UDPv4), published[1].of_ports);
}
END_TEST

START_TEST(fragments_are_hashed_by_address)
{
	make_published(0, IPPROTO_TCP);
	packet_be16(p.data + p.l3 + 6, 0x2000);
	expect(REPORT(IPv4), published[0].of_addresses);
	packet_be16(p.data + p.l3 + 6, 3);
	expect(REPORT(IPv4), published[0].of_addresses);
}
END_TEST

START_TEST(other_protocols_are_hashed_by_address)
{
	make_published(0, IPPROTO_TCP);
	p.data[p.l3 + 9] = IPPROTO_SCTP;
	expect(REPORT(IPv4), published[0].of_addresses);
	make_published(5, IPPROTO_TCP);
	p.data[p.l3 + 6] = IPPROTO_ICMPV6;
	expect(REPORT(IPv6), published[5].of_addresses);
}
END_TEST

/* Where the type for them is off they are hashed as if they had none. */
START_TEST(extension_headers_are_skipped)
{
	uint8_t addresses[32];

	make_published(5, IPPROTO_UDP);
	memcpy(addresses, p.data + p.l3 + 8, sizeof(addresses));
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_HOPOPTS);
	memcpy(p.data + p.l3 + 8, addresses, sizeof(addresses));
	packet_extension(&p, IPPROTO_UDP, 16);
	packet_udp(&p);
	finish(published[5].from_port, published[5].to_port);
	expect(REPORT(UDPv6_EX), published[5].of_ports);
	rss.types = TYPE(UDPv6) | TYPE(IP_EX);
	expect(REPORT(IPv6_EX), published[5].of_addresses);
	rss.types = TYPE(UDPv6) | TYPE(TCP_EX) | TYPE(IPv6);
	expect(REPORT(UDPv6), published[5].of_ports);
	rss.types = TYPE(IPv6);
	expect(REPORT(IPv6), published[5].of_addresses);
}
END_TEST

START_TEST(frames_without_a_hash)
{
	packet_ether(&p, 0x0806);
	expect(REPORT(NONE), 0);
	packet_add(&p, 46, 0);
	expect(REPORT(NONE), 0);
	make_published(0, IPPROTO_TCP);
	rss.types = 0;
	expect(REPORT(NONE), 0);
	rss.types = net_rss_types;
	for (p.bytes = 14; p.bytes < p.l3 + 20; p.bytes++)
		expect(REPORT(NONE), 0);
}
END_TEST

START_TEST(flows_spread_over_pairs)
{
	uint32_t pairs[8] = {0}, first;

	for (unsigned i = 0; i < 4096; i++) {
		make_published(i & 1 ? 5 : 0, i & 2 ? IPPROTO_UDP : IPPROTO_TCP);
		packet_be16(p.data + p.l4, 1024 + i);
		pairs[flow_hash() % 8]++;
	}
	for (unsigned i = 0; i < 8; i++)
		ck_assert(pairs[i] > 400 && pairs[i] < 624);
	/* What is not of the flow does not matter, and what is does. */
	make_published(0, IPPROTO_TCP);
	first = flow_hash();
	p.data[p.l4 + 7]++;
	ck_assert_uint_eq(flow_hash(), first);
	p.data[p.l3 + 15]++;
	ck_assert_uint_ne(flow_hash(), first);
}
END_TEST

START_TEST(frames_that_are_no_ip_flow_by_their_addresses)
{
	uint32_t first;

	packet_ether(&p, 0x0806);
	first = flow_hash();
	packet_add(&p, 46, 0);
	ck_assert_uint_eq(flow_hash(), first);
	p.data[11]++;
	ck_assert_uint_ne(flow_hash(), first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_rss");
	TCase *tc = tcase_create("rss");

	rig_start();
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_published_values);
	tcase_add_test(tc, the_type_that_is_enabled);
	tcase_add_test(tc, all_types_are_offered);
	tcase_add_test(tc, behind_tags_and_options);
	tcase_add_test(tc, fragments_are_hashed_by_address);
	tcase_add_test(tc, other_protocols_are_hashed_by_address);
	tcase_add_test(tc, extension_headers_are_skipped);
	tcase_add_test(tc, frames_without_a_hash);
	tcase_add_test(tc, flows_spread_over_pairs);
	tcase_add_test(tc, frames_that_are_no_ip_flow_by_their_addresses);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
