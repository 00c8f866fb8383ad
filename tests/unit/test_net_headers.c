/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_headers.c - the headers of a frame are found behind tags, options and extension headers,
 * and none is believed that is not there. Tests net/headers.
 */
#include "net/headers.h"
#include "tests/unit/net_packet_rig.h"
#include "tests/unit/support.h"

static struct packet p;
static struct net_headers h;

/* parse - in memory of just that size, so that a sanitizer sees what is read beyond. */
static bool parse(uint32_t bytes)
{
	uint8_t *exact = malloc(bytes ? bytes : 1);
	bool ret;

	memcpy(exact, p.data, bytes);
	ret = net_headers_parse(&h, exact, bytes, p.bytes);
	free(exact);
	return ret;
}

static void tcp4(uint32_t ip_options, uint32_t tcp_options)
{
	packet_ether(&p, 0x0800);
	packet_ipv4(&p, IPPROTO_TCP, ip_options);
	packet_tcp(&p, tcp_options, PACKET_ACK);
	packet_add(&p, 100, 0);
	packet_end(&p);
}

static void tcp6(void)
{
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_TCP);
	packet_tcp(&p, 0, PACKET_ACK);
	packet_add(&p, 100, 0);
	packet_end(&p);
}

static void expect(uint8_t ip, uint8_t protocol)
{
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, ip);
	ck_assert_uint_eq(h.protocol, protocol);
	ck_assert_uint_eq(h.l3, p.l3);
	ck_assert_uint_eq(h.l4, p.l4);
	ck_assert_uint_eq(h.payload, p.payload);
	ck_assert_uint_eq(h.l3_bytes, p.bytes - p.l3);
	ck_assert(!h.fragment);
}

START_TEST(ipv4_with_and_without_options)
{
	for (uint32_t ip = 0; ip <= 40; ip += 4) {
		for (uint32_t tcp = 0; tcp <= 40; tcp += 4) {
			tcp4(ip, tcp);
			expect(4, IPPROTO_TCP);
			ck_assert(!h.tagged && !h.extended);
		}
	}
}
END_TEST

START_TEST(udp_and_ipv6)
{
	tcp6();
	expect(6, IPPROTO_TCP);
	ck_assert_uint_eq(h.fragmentable, h.l4);
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_UDP);
	packet_udp(&p);
	packet_end(&p);
	expect(6, IPPROTO_UDP);
}
END_TEST

START_TEST(up_to_two_tags)
{
	packet_ether(&p, 0x88a8);
	packet_tag(&p, 0x2009, 0x8100);
	packet_tag(&p, 7, 0x0800);
	packet_ipv4(&p, IPPROTO_UDP, 0);
	packet_udp(&p);
	packet_end(&p);
	expect(4, IPPROTO_UDP);
	ck_assert(h.tagged);
	ck_assert_uint_eq(h.vlan, 0x2009);
	ck_assert_uint_eq(h.ether_type, 0x0800);
	/* A third is what they carry. */
	packet_ether(&p, 0x8100);
	packet_tag(&p, 1, 0x8100);
	packet_tag(&p, 2, 0x8100);
	packet_tag(&p, 3, 0x0800);
	packet_add(&p, 60, 0);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ether_type, 0x8100);
	ck_assert_uint_eq(h.vlan, 1);
	ck_assert_uint_eq(h.ip, 0);
}
END_TEST

START_TEST(extension_headers)
{
	uint32_t shared;

	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_HOPOPTS);
	packet_extension(&p, IPPROTO_ROUTING, 16);
	packet_extension(&p, IPPROTO_DSTOPTS, 24);
	shared = p.bytes;
	packet_extension(&p, IPPROTO_UDP, 8);
	packet_udp(&p);
	packet_end(&p);
	expect(6, IPPROTO_UDP);
	ck_assert(h.extended);
	ck_assert_uint_eq(h.fragmentable, shared);
	ck_assert_uint_eq(h.home, 0);
	ck_assert_uint_eq(h.route, 0);
}
END_TEST

START_TEST(authentication_header)
{
	uint8_t *extension;

	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_AH);
	extension = packet_extension(&p, IPPROTO_TCP, 24);
	extension[1] = 4; /* it counts in words of four bytes, from two on */
	packet_tcp(&p, 0, PACKET_ACK);
	packet_end(&p);
	expect(6, IPPROTO_TCP);
	ck_assert(h.extended);
}
END_TEST

START_TEST(addresses_of_mobile_hosts)
{
	uint8_t *extension;

	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_ROUTING);
	extension = packet_extension(&p, IPPROTO_DSTOPTS, 24);
	extension[2] = 2;
	extension = packet_extension(&p, IPPROTO_UDP, 24);
	memcpy(extension + 7, (uint8_t[]){0xc9, 16}, 2);
	packet_udp(&p);
	packet_end(&p);
	expect(6, IPPROTO_UDP);
	ck_assert_uint_eq(h.route, p.l3 + 40 + 8);
	ck_assert_uint_eq(h.home, 0); /* it would end behind the header */
	memcpy(extension + 2, (uint8_t[]){1, 2, 0, 0, 0xc9, 15}, 6);
	expect(6, IPPROTO_UDP);
	ck_assert_uint_eq(h.home, 0); /* not the length of an address */
	memcpy(extension + 2, (uint8_t[]){1, 2, 0, 0, 0xc9, 16}, 6);
	expect(6, IPPROTO_UDP);
	ck_assert_uint_eq(h.home, p.l3 + 40 + 24 + 8);
	memcpy(extension + 2, (uint8_t[]){1, 255, 0xc9, 16}, 4);
	expect(6, IPPROTO_UDP);
	ck_assert_uint_eq(h.home, 0); /* an option before it goes beyond the header */
}
END_TEST

START_TEST(fragments_have_no_transport_header)
{
	static const uint16_t fields[] = {0x2000, 1, 0x2001, 0x1fff};

	for (unsigned i = 0; i < 4; i++) {
		tcp4(0, 0);
		packet_be16(p.data + p.l3 + 6, fields[i]);
		ck_assert(parse(p.bytes));
		ck_assert(h.fragment);
		ck_assert_uint_eq(h.ip, 4);
		ck_assert_uint_eq(h.l4, 0);
		ck_assert_uint_eq(h.payload, 0);
	}
	tcp4(0, 0);
	packet_be16(p.data + p.l3 + 6, 0x4000); /* "don't fragment" */
	expect(4, IPPROTO_TCP);
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_FRAGMENT);
	packet_extension(&p, IPPROTO_TCP, 8);
	packet_tcp(&p, 0, PACKET_ACK);
	packet_end(&p);
	ck_assert(parse(p.bytes));
	ck_assert(h.fragment && h.extended);
	ck_assert_uint_eq(h.protocol, IPPROTO_TCP);
	ck_assert_uint_eq(h.l4, 0);
}
END_TEST

START_TEST(what_is_no_ip)
{
	packet_ether(&p, 0x0806);
	packet_add(&p, 46, 0);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ether_type, 0x0806);
	ck_assert_uint_eq(h.ip, 0);
	ck_assert_uint_eq(h.l3, 14);
}
END_TEST

/* Of each frame every beginning: nothing that is found ends behind it. */
static void cut_everywhere(void)
{
	for (uint32_t bytes = 0; bytes <= p.bytes; bytes++) {
		ck_assert(parse(bytes) == (bytes >= 14));
		if (bytes < 14)
			continue;
		ck_assert_uint_le(h.l3, bytes);
		ck_assert_uint_le(h.l4, bytes);
		ck_assert_uint_le(h.payload, bytes);
		ck_assert_uint_le(h.fragmentable, bytes);
		ck_assert(!h.l4 || h.l4 < bytes);
		ck_assert(!h.payload || h.payload > h.l4);
		ck_assert(!h.ip || h.l3 + h.l3_bytes <= p.bytes);
	}
	ck_assert(!net_headers_parse(&h, p.data, p.bytes, p.bytes - 1));
}

START_TEST(h44_headers_cut_short)
{
	tcp4(8, 12);
	cut_everywhere();
	tcp6();
	cut_everywhere();
	packet_ether(&p, 0x88a8);
	packet_tag(&p, 9, 0x8100);
	packet_tag(&p, 7, 0x86dd);
	packet_ipv6(&p, IPPROTO_HOPOPTS);
	packet_extension(&p, IPPROTO_AH, 16);
	packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_extension(&p, IPPROTO_UDP, 24);
	packet_udp(&p);
	packet_end(&p);
	cut_everywhere();
}
END_TEST

START_TEST(h44_ip_lengths_beyond_and_below)
{
	tcp4(0, 0);
	packet_be16(p.data + p.l3 + 2, p.bytes - p.l3 + 1);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	packet_be16(p.data + p.l3 + 2, 19);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	packet_be16(p.data + p.l3 + 2, 39); /* the TCP header lies beyond it */
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 4);
	ck_assert_uint_eq(h.payload, 0);
	packet_be16(p.data + p.l3 + 2, 20);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.l4, 0);
	tcp6();
	packet_be16(p.data + p.l3 + 4, p.bytes - p.l3 - 39);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	packet_be16(p.data + p.l3 + 4, 0);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 6);
	ck_assert_uint_eq(h.l4, 0);
}
END_TEST

START_TEST(h44_header_lengths_that_cannot_be)
{
	tcp4(0, 0);
	p.data[p.l3] = 0x44;
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	p.data[p.l3] = 0x65;
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	tcp6();
	p.data[p.l3] = 0x40;
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 0);
	for (uint8_t words = 0; words < 5; words++) {
		tcp4(0, 0);
		p.data[p.l4 + 12] = (uint8_t)(words << 4);
		ck_assert(parse(p.bytes));
		ck_assert_uint_eq(h.l4, p.l4);
		ck_assert_uint_eq(h.payload, 0);
	}
}
END_TEST

START_TEST(h44_tcp_header_beyond_the_frame)
{
	packet_ether(&p, 0x0800);
	packet_ipv4(&p, IPPROTO_TCP, 0);
	packet_tcp(&p, 0, PACKET_ACK);
	packet_add(&p, 39, 0);
	packet_end(&p);
	p.data[p.l4 + 12] = 0xf0;
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.payload, 0);
}
END_TEST

START_TEST(h44_endless_extension_headers)
{
	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_DSTOPTS);
	for (unsigned i = 0; i < 8000; i++)
		packet_extension(&p, IPPROTO_DSTOPTS, 8);
	packet_end(&p);
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 6);
	ck_assert(h.extended);
	ck_assert_uint_eq(h.l4, 0);
	/* Eight are followed, nine are not. */
	for (unsigned n = 8; n <= 9; n++) {
		packet_ether(&p, 0x86dd);
		packet_ipv6(&p, IPPROTO_DSTOPTS);
		for (unsigned i = 1; i < n; i++)
			packet_extension(&p, IPPROTO_DSTOPTS, 8);
		packet_extension(&p, IPPROTO_UDP, 8);
		packet_udp(&p);
		packet_end(&p);
		ck_assert(parse(p.bytes));
		ck_assert_uint_eq(h.l4, n == 8 ? p.l4 : 0);
	}
}
END_TEST

START_TEST(h44_extension_header_beyond_the_frame)
{
	uint8_t *extension;

	packet_ether(&p, 0x86dd);
	packet_ipv6(&p, IPPROTO_ROUTING);
	extension = packet_extension(&p, IPPROTO_TCP, 24);
	packet_tcp(&p, 0, PACKET_ACK);
	packet_end(&p);
	extension[1] = 255;
	ck_assert(parse(p.bytes));
	ck_assert_uint_eq(h.ip, 6);
	ck_assert_uint_eq(h.l4, 0);
	ck_assert_uint_eq(h.payload, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_headers");
	TCase *tc = tcase_create("parse");

	tcase_add_test(tc, ipv4_with_and_without_options);
	tcase_add_test(tc, udp_and_ipv6);
	tcase_add_test(tc, up_to_two_tags);
	tcase_add_test(tc, extension_headers);
	tcase_add_test(tc, authentication_header);
	tcase_add_test(tc, addresses_of_mobile_hosts);
	tcase_add_test(tc, fragments_have_no_transport_header);
	tcase_add_test(tc, what_is_no_ip);
	tcase_add_test(tc, h44_headers_cut_short);
	tcase_add_test(tc, h44_ip_lengths_beyond_and_below);
	tcase_add_test(tc, h44_header_lengths_that_cannot_be);
	tcase_add_test(tc, h44_tcp_header_beyond_the_frame);
	tcase_add_test(tc, h44_endless_extension_headers);
	tcase_add_test(tc, h44_extension_header_beyond_the_frame);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
