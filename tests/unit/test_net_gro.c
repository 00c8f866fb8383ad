/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_gro.c - TCP segments that follow each other are joined, and no others; the order within a
 * flow stays. Joined frames are compared with Scapy's in test_net_scapy. Tests net/gro.
 */
#include "net/gro.h"
#include "tests/unit/net_frame_rig.h"
#include "tests/unit/net_packet_rig.h"
#include "tests/unit/support.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)
#define TAKES        (BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6))
#define SIZE         1000u
#define MAX_FRAMES   64

/* How the segments of a test differ from those that join. */
struct like {
	uint8_t ip; /* 4 or 6 */
	uint8_t flags; /* beside ACK */
	uint16_t bytes;
	uint32_t sequence;
	uint16_t id;
	uint16_t port; /* the source's */
	bool may_fragment;
};

static struct packet p;
static struct rte_mbuf *frames[MAX_FRAMES];
static unsigned num;

/* last - the data of the frame that was added last. */
static uint8_t *last(void)
{
	return rte_pktmbuf_mtod(frames[num - 1], uint8_t *);
}

/* sum - complete the checksums of what is in @p. */
static void sum(void)
{
	uint8_t *field = p.data + p.l4 + 16;

	packet_end(&p);
	packet_be16(field, ~packet_sum(p.data + p.l4, p.bytes - p.l4, 0));
}

static void add_packet(void)
{
	frames[num++] = rig_frame(p.data, p.bytes, NET_MBUF_BYTES, 0);
}

static void make(const struct like *like)
{
	packet_ether(&p, like->ip == 6 ? 0x86dd : 0x0800);
	if (like->ip == 6)
		packet_ipv6(&p, IPPROTO_TCP);
	else
		packet_ipv4(&p, IPPROTO_TCP, 0);
	packet_tcp(&p, 12, PACKET_ACK | like->flags);
	packet_add(&p, like->bytes, (uint8_t)like->sequence);
	if (like->ip != 6) {
		packet_be16(p.data + p.l3 + 4, like->id);
		packet_be16(p.data + p.l3 + 6, like->may_fragment ? 0 : 0x4000);
	}
	packet_be16(p.data + p.l4, 40000u + like->port);
	packet_be16(p.data + p.l4 + 4, like->sequence >> 16);
	packet_be16(p.data + p.l4 + 6, like->sequence);
	sum();
}

static void add(struct like like)
{
	make(&like);
	add_packet();
}

/* add_row - @n segments that follow each other. */
static void add_row(unsigned n, struct like like)
{
	like.bytes = SIZE;
	for (unsigned i = 0; i < n; i++, like.sequence += SIZE, like.id++)
		add(like);
}

static unsigned gro(net_takes takes)
{
	return net_gro(frames, num, takes);
}

static void drop_all(unsigned left)
{
	rte_pktmbuf_free_bulk(frames, left);
	num = 0;
	ck_assert(rig_all_free());
}

/* expect - @left frames come of those that were added. */
static void expect(unsigned left)
{
	unsigned got = gro(TAKES);

	ck_assert_uint_eq(got, left);
	drop_all(got);
}

/* expect_joined - all frames become one of @bytes with a whole checksum to be made. */
static void expect_joined(uint32_t bytes, uint8_t gso_type)
{
	const struct net_offload *o;
	struct rte_mbuf *m;
	uint32_t chain = 0, segments = 0;

	ck_assert_uint_eq(gro(TAKES), 1);
	o = &net_meta(frames[0])->offload;
	ck_assert_uint_eq(frames[0]->pkt_len, p.payload + bytes);
	for (m = frames[0]; m; m = m->next) {
		ck_assert_uint_gt(m->data_len, 0);
		chain += m->data_len;
		segments++;
	}
	ck_assert_uint_eq(chain, frames[0]->pkt_len);
	ck_assert_uint_eq(segments, frames[0]->nb_segs);
	ck_assert_uint_eq(o->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(o->gso_type, gso_type);
	ck_assert_uint_eq(o->gso_bytes, SIZE);
	ck_assert_uint_eq(o->header_bytes, p.payload);
	ck_assert_uint_eq(o->csum_start, p.l4);
	ck_assert_uint_eq(o->csum_offset, 16);
	ck_assert_uint_eq(o->ip, p.ip);
	ck_assert_uint_eq(o->l3, p.l3);
}

START_TEST(a_row_becomes_one)
{
	add_row(20, (struct like){.sequence = 0xffffff00});
	expect_joined(20 * SIZE, VIRTIO_NET_HDR_GSO_TCPV4);
	drop_all(1);
	add_row(20, (struct like){.ip = 6});
	expect_joined(20 * SIZE, VIRTIO_NET_HDR_GSO_TCPV6);
	drop_all(1);
}
END_TEST

START_TEST(a_shorter_one_ends_it)
{
	add_row(2, (struct like){0});
	add((struct like){.sequence = 2 * SIZE, .bytes = 1});
	expect_joined(2 * SIZE + 1, VIRTIO_NET_HDR_GSO_TCPV4);
	drop_all(1);
	add_row(2, (struct like){0});
	add((struct like){.sequence = 2 * SIZE, .bytes = 1});
	add((struct like){.sequence = 2 * SIZE + 1, .bytes = SIZE});
	expect(2);
	add_row(2, (struct like){0}); /* a longer one cannot be of the row */
	add((struct like){.sequence = 2 * SIZE, .bytes = SIZE + 1});
	expect(2);
}
END_TEST

START_TEST(push_ends_it)
{
	add_row(2, (struct like){0});
	add((struct like){.sequence = 2 * SIZE, .bytes = SIZE, .flags = PACKET_PSH});
	expect_joined(3 * SIZE, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(rte_pktmbuf_mtod(frames[0], uint8_t *)[p.l4 + 13],
			  PACKET_ACK | PACKET_PSH);
	drop_all(1);
	add((struct like){.bytes = SIZE, .flags = PACKET_PSH});
	add((struct like){.sequence = SIZE, .bytes = SIZE});
	expect(2);
	add_row(2, (struct like){0});
	add((struct like){.sequence = 2 * SIZE, .bytes = SIZE, .flags = PACKET_PSH});
	add_row(2, (struct like){.sequence = 3 * SIZE});
	expect(2);
}
END_TEST

START_TEST(no_larger_than_an_ip_packet)
{
	struct like like = {.bytes = 9000};
	unsigned left;

	for (unsigned i = 0; i < 8; i++, like.sequence += 9000)
		add(like);
	left = gro(TAKES);
	ck_assert_uint_eq(left, 2);
	ck_assert_uint_eq(frames[0]->pkt_len, p.payload + 7 * 9000);
	drop_all(left);
}
END_TEST

START_TEST(only_what_the_receiver_takes)
{
	static const struct {
		uint8_t ip;
		net_takes takes;
		unsigned left;
	} rows[] = {
		{4, 0, 3},
		{4, BIT(GUEST_CSUM), 3},
		{4, BIT(GUEST_TSO4) | BIT(GUEST_TSO6), 3},
		{4, BIT(GUEST_CSUM) | BIT(GUEST_TSO6), 3},
		{4, BIT(GUEST_CSUM) | BIT(GUEST_TSO4), 1},
		{6, BIT(GUEST_CSUM) | BIT(GUEST_TSO4), 3},
		{6, BIT(GUEST_CSUM) | BIT(GUEST_TSO6), 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned left;

		add_row(3, (struct like){.ip = rows[i].ip});
		left = gro(rows[i].takes);
		ck_assert_uint_eq(left, rows[i].left);
		drop_all(left);
	}
}
END_TEST

START_TEST(other_flags_keep_it_apart)
{
	for (unsigned bit = 0; bit < 8; bit++) {
		uint8_t flag = (uint8_t)(1u << bit);

		if (flag == PACKET_ACK || flag == PACKET_PSH)
			continue;
		add_row(2, (struct like){0});
		add((struct like){.sequence = 2 * SIZE, .bytes = SIZE, .flags = flag});
		add_row(2, (struct like){.sequence = 3 * SIZE});
		expect(3);
		add((struct like){.bytes = SIZE, .flags = flag});
		add_row(1, (struct like){.sequence = SIZE});
		expect(2);
		add_row(2, (struct like){.flags = flag});
		expect(2);
	}
	add_row(1, (struct like){0}); /* no ACK */
	make(&(struct like){.sequence = SIZE, .bytes = SIZE});
	p.data[p.l4 + 13] = 0;
	sum();
	add_packet();
	expect(2);
}
END_TEST

START_TEST(gaps_and_repetitions_keep_it_apart)
{
	static const uint32_t sequences[] = {0, SIZE - 1, SIZE + 1, 5 * SIZE, 0 - SIZE};

	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++) {
		add_row(1, (struct like){0});
		add((struct like){.sequence = sequences[i], .bytes = SIZE});
		expect(2);
	}
}
END_TEST

/* Every byte of the headers but those that may differ. */
START_TEST(other_headers_keep_it_apart)
{
	for (uint8_t ip = 4; ip <= 6; ip += 2) {
		for (uint32_t at = 0; at < (ip == 4 ? 66u : 86u); at++) {
			bool length = ip == 4 ? at == 16 || at == 17 : at == 18 || at == 19;
			bool may = ip == 4 && (at == 18 || at == 19 || at == 24 || at == 25);

			add_row(1, (struct like){.ip = ip});
			make(&(struct like){.ip = ip, .sequence = SIZE, .bytes = SIZE});
			if (length || may || at == p.l3 || at == p.l4 + 12)
				goto next; /* other tests' */
			p.data[at] ^= 0x40;
			if (at < p.l4 + 16 || at > p.l4 + 17)
				sum();
			add_packet();
			ck_assert_msg(gro(TAKES) == 2, "IPv%u, byte %u", ip, at);
		next:
			drop_all(num);
		}
	}
}
END_TEST

START_TEST(wrong_sums_keep_it_apart)
{
	for (unsigned wrong = 0; wrong < 3; wrong++) {
		for (unsigned valid = 0; valid < 2; valid++) {
			for (unsigned i = 0; i < 3; i++) {
				add((struct like){.sequence = i * SIZE, .bytes = SIZE});
				if (valid)
					net_meta(frames[i])->offload.flags =
						VIRTIO_NET_HDR_F_DATA_VALID;
				if (i == wrong)
					last()[p.payload + 500] ^= 1;
			}
			/* A port that looked at the sum is believed. */
			expect(valid ? 1 : wrong == 1 ? 3 : 2);
		}
	}
	add_row(2, (struct like){0});
	net_meta(frames[0])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	net_meta(frames[1])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	last()[p.l3 + 10] ^= 1; /* it says nothing of IPv4's */
	expect(2);
}
END_TEST

/* Cut again, segments of a datagram that routers may fragment get identifications in a row. */
START_TEST(identifications_that_matter)
{
	add_row(3, (struct like){.id = 0xfffe, .may_fragment = true});
	expect(1);
	add((struct like){.bytes = SIZE, .id = 7, .may_fragment = true});
	add((struct like){.bytes = SIZE, .sequence = SIZE, .id = 7, .may_fragment = true});
	expect(2);
	add((struct like){.bytes = SIZE, .id = 7});
	add((struct like){.bytes = SIZE, .sequence = SIZE, .id = 7});
	expect(1);
}
END_TEST

START_TEST(frames_of_other_kinds)
{
	/* Padding, and what carries nothing. */
	add((struct like){.bytes = 0});
	add((struct like){.bytes = 0});
	expect(2);
	add_row(1, (struct like){0});
	make(&(struct like){.sequence = SIZE, .bytes = 2});
	packet_add_zeros(&p, 4);
	add_packet();
	expect(2);
	/* UDP, ARP, and what is not summed yet. */
	for (unsigned i = 0; i < 2; i++) {
		packet_ether(&p, 0x0800);
		packet_ipv4(&p, IPPROTO_UDP, 0);
		packet_udp(&p);
		packet_add(&p, 100, 0);
		packet_end(&p);
		add_packet();
		packet_ether(&p, 0x0806);
		packet_add(&p, 46, 0);
		add_packet();
	}
	expect(4);
	add_row(2, (struct like){0});
	net_meta(frames[1])->offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	expect(2);
	/* Fragments. */
	for (unsigned i = 0; i < 2; i++) {
		make(&(struct like){.bytes = SIZE, .sequence = i * SIZE});
		packet_be16(p.data + p.l3 + 6, 0x2000);
		packet_end(&p);
		add_packet();
	}
	expect(2);
}
END_TEST

/* What a port says of its checksum does not make them joinable. */
START_TEST(extension_headers_keep_it_apart)
{
	for (uint32_t i = 0; i < 2; i++) {
		packet_ether(&p, 0x86dd);
		packet_ipv6(&p, IPPROTO_DSTOPTS);
		packet_extension(&p, IPPROTO_TCP, 8);
		packet_tcp(&p, 0, PACKET_ACK);
		packet_add(&p, SIZE, 0);
		packet_be16(p.data + p.l4 + 4, 0);
		packet_be16(p.data + p.l4 + 6, i * SIZE);
		sum();
		add_packet();
		net_meta(frames[i])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	expect(2);
}
END_TEST

/* No mbuf of a chain may be empty. */
START_TEST(headers_in_an_mbuf_of_their_own)
{
	for (uint32_t i = 0; i < 2; i++) {
		make(&(struct like){.sequence = i * SIZE, .bytes = SIZE});
		frames[num++] = rig_frame(p.data, p.bytes, p.payload, 0);
	}
	expect(2);
	for (uint32_t i = 0; i < 2; i++) {
		make(&(struct like){.sequence = i * SIZE, .bytes = SIZE});
		frames[num++] = rig_frame(p.data, p.bytes, p.payload + 1, 0);
	}
	expect_joined(2 * SIZE, VIRTIO_NET_HDR_GSO_TCPV4);
	drop_all(1);
}
END_TEST

START_TEST(the_order_within_a_flow_stays)
{
	add_row(2, (struct like){0});
	add((struct like){.sequence = 2 * SIZE, .bytes = 0}); /* no payload, of the same flow */
	add_row(2, (struct like){.sequence = 2 * SIZE});
	ck_assert_uint_eq(gro(TAKES), 3);
	ck_assert_uint_eq(frames[0]->pkt_len, p.payload + 2 * SIZE);
	ck_assert_uint_eq(frames[1]->pkt_len, p.payload);
	ck_assert_uint_eq(frames[2]->pkt_len, p.payload + 2 * SIZE);
	drop_all(3);
}
END_TEST

START_TEST(flows_are_joined_side_by_side)
{
	for (unsigned flows = 1; flows <= 12; flows++) {
		unsigned left;

		for (unsigned i = 0; i < 4; i++) {
			for (unsigned flow = 0; flow < flows; flow++)
				add((struct like){.port = (uint16_t)flow,
						  .sequence = flow * 77777 + i * SIZE,
						  .bytes = SIZE});
		}
		left = gro(TAKES);
		/* Of more than it has room for none is lost, whether they are joined or not. */
		ck_assert(flows > 8 ? left <= 4 * flows : left == flows);
		for (unsigned i = 0; i < left; i++)
			ck_assert_uint_eq((frames[i]->pkt_len - p.payload) % SIZE, 0);
		drop_all(left);
	}
}
END_TEST

/* A flow that makes room for another is whole. */
START_TEST(one_flow_after_another)
{
	unsigned left;

	for (uint16_t flow = 0; flow < 20; flow++)
		add_row(2, (struct like){.port = flow});
	left = gro(TAKES);
	ck_assert_uint_eq(left, 20);
	for (unsigned i = 0; i < left; i++) {
		const uint8_t *data = rte_pktmbuf_mtod(frames[i], const uint8_t *);

		ck_assert_uint_eq(net_meta(frames[i])->offload.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		ck_assert_uint_eq(packet_get16(data + p.l3 + 2), frames[i]->pkt_len - p.l3);
	}
	drop_all(left);
}
END_TEST

START_TEST(h44_headers_that_lie_are_not_joined)
{
	for (unsigned lie = 0; lie < 4; lie++) {
		add_row(1, (struct like){0});
		make(&(struct like){.sequence = SIZE, .bytes = SIZE});
		if (lie == 0)
			packet_be16(p.data + p.l3 + 2, p.bytes); /* longer than the frame */
		else if (lie == 1)
			packet_be16(p.data + p.l3 + 2, p.bytes - p.l3 - 1); /* shorter */
		else if (lie == 2)
			p.data[p.l4 + 12] = 0x40;
		else
			p.data[p.l3] = 0x44;
		add_packet();
		net_meta(frames[0])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
		net_meta(frames[1])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
		expect(2);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_gro");
	TCase *tc = tcase_create("gro");

	rig_start();
	tcase_add_test(tc, a_row_becomes_one);
	tcase_add_test(tc, a_shorter_one_ends_it);
	tcase_add_test(tc, push_ends_it);
	tcase_add_test(tc, no_larger_than_an_ip_packet);
	tcase_add_test(tc, only_what_the_receiver_takes);
	tcase_add_test(tc, other_flags_keep_it_apart);
	tcase_add_test(tc, gaps_and_repetitions_keep_it_apart);
	tcase_add_test(tc, other_headers_keep_it_apart);
	tcase_add_test(tc, wrong_sums_keep_it_apart);
	tcase_add_test(tc, identifications_that_matter);
	tcase_add_test(tc, frames_of_other_kinds);
	tcase_add_test(tc, extension_headers_keep_it_apart);
	tcase_add_test(tc, headers_in_an_mbuf_of_their_own);
	tcase_add_test(tc, the_order_within_a_flow_stays);
	tcase_add_test(tc, flows_are_joined_side_by_side);
	tcase_add_test(tc, one_flow_after_another);
	tcase_add_test(tc, h44_headers_that_lie_are_not_joined);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
