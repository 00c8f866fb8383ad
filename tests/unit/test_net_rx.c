/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest receives: frames over as few buffers as they need, or a drop by a name that leaves no
 * trace; and when the guest is told. Tests net/rx with net/tx in front of it.
 */
#include "tests/unit/net_rig.h"

#define HEADER    sizeof(struct virtio_net_hdr_v1)
#define MERGEABLE VU_BIT(VIRTIO_NET_F_MRG_RXBUF)

static struct rig_guest *const a = &rig_guests[0], *const b = &rig_guests[1];

static struct rig_options mergeable_variant(int i)
{
	struct rig_options o = rig_variant(i);

	o.features = MERGEABLE;
	return o;
}

/* merged - a frame is in @n buffers of @size that follow each other at @at: all but the last are full
 * (5.1.6.4). */
static void merged(const uint8_t *at, uint32_t size, unsigned n, const uint8_t *frame,
		   uint32_t bytes)
{
	struct fe_used used[NET_BURST];
	uint32_t left = (uint32_t)HEADER + bytes;

	ck_assert_uint_eq(rig_poll(b, RX, used, NET_BURST), n);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(used[i].len, min_of(left, size));
		left -= used[i].len;
	}
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_eq(at[10] | at[11] << 8, n); /* num_buffers */
	ck_assert_mem_eq(at + HEADER, frame, bytes);
}

START_TEST(a_large_frame_takes_as_few_buffers_as_hold_it)
{
	static const struct {
		uint32_t frame, buffer;
		unsigned num;
	} cases[] = {
		{64, 76, 1},
		{65, 76, 2},
		{1518, 1530, 1},
		{1518, 1529, 2},
		{5000, 1024, 5},
		{5108, 1024, 5},
		{5109, 1024, 6},
		{9000, 4096, 3},
		{65535, 2048, 33},
		{65549, 1526, 43},
		{NET_MAX_FRAME_BYTES, 1526, 43},
	};
	const struct rig_options o = mergeable_variant(_i);

	rig_open(&o);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fe_mem at = rig_offer(b, cases[i].num, cases[i].buffer);
		const uint8_t *frame = rig_send(cases[i].frame, i);
		struct fe_used used[2];

		ck_assert_uint_eq(rig_pass(), 1);
		if (cases[i].num <= NET_BURST)
			merged(at.host, cases[i].buffer, cases[i].num, frame, cases[i].frame);
		else
			ck_assert_mem_eq(at.host + HEADER, frame, cases[i].frame);
		while (rig_poll(b, RX, used, 1))
			;
		rig_poll(a, TX, used, 2);
	}
	ck_assert_uint_eq(vq_count(&b->guest.to[0].frames), ARRAY_SIZE(cases));
	ck_assert(rig_all_mbufs());
}
END_TEST

/* Small ones before, between and behind. */
START_TEST(frames_of_one_and_of_many_buffers_keep_their_order)
{
	static const uint32_t sizes[] = {64, 64, 3000, 64, 1500, 1500, 64, 64};
	const struct rig_options o = mergeable_variant(_i);
	const uint8_t *frames[ARRAY_SIZE(sizes)];
	struct fe_used used[32];
	unsigned i, at = 0, n;
	struct fe_mem m;

	rig_open(&o);
	m = rig_offer(b, 20, 1024);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		frames[i] = rig_send(sizes[i], i);
	ck_assert_uint_eq(rig_pass(), ARRAY_SIZE(sizes));
	n = rig_poll(b, RX, used, 32);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const uint8_t *buffer = m.host + at * 1024;

		ck_assert_uint_eq(buffer[10], (sizes[i] + HEADER + 1023) / 1024);
		ck_assert_mem_eq(buffer + HEADER, frames[i], sizes[i]);
		at += buffer[10];
	}
	ck_assert_uint_eq(at, n);
}
END_TEST

START_TEST(what_finds_no_room_leaves_no_trace)
{
	const struct rig_options o = mergeable_variant(_i);
	struct fe_used used[8];
	const uint8_t *frame;
	struct fe_mem m;

	rig_open(&o);
	m = rig_offer(b, 2, 1024);
	rig_send(3000, 1); /* 3 buffers */
	frame = rig_send(1500, 2);
	rig_send(64, 3);
	ck_assert_uint_eq(rig_pass(), 3);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_NO_DESCRIPTORS), 2);
	merged(m.host, 1024, 2, frame, 1500);
	/* With room again the next arrive. */
	m = rig_offer(b, 3, 1024);
	frame = rig_send(3000, 4);
	ck_assert_uint_eq(rig_pass(), 1);
	merged(m.host, 1024, 3, frame, 3000);
	ck_assert_uint_eq(rig_poll(a, TX, used, 8), 4);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(without_merging_a_frame_has_one_buffer_or_none)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_used used[4];
	struct fe_mem m;

	rig_open(&o);
	m = rig_offer(b, 2, 1024);
	rig_send(1500, 1);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_TOO_LARGE), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 0);
	{
		const uint8_t *frame = rig_send(1024 - HEADER, 2);

		ck_assert_uint_eq(rig_pass(), 1);
		merged(m.host, 1024, 1, frame, 1024 - HEADER);
	}
	ck_assert(rig_all_mbufs());
}
END_TEST

/* Buffers in pieces, so that the header is cut in the middle. */
START_TEST(buffers_of_several_descriptors_are_written_as_one)
{
	struct rig_options o = mergeable_variant(_i / 2);
	struct fe_mem m;
	const uint8_t *frame;

	o.indirect = _i % 2 ? 8 : 0;
	rig_open(&o);
	m = rig_alloc(b, 2048);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t gpa = m.gpa + i * 1024;
		struct fe_buf bufs[] = {{gpa, 5}, {gpa + 5, 6}, {gpa + 11, 900}, {gpa + 911, 113}};

		rig_add(b, RX, bufs, 0, 4);
	}
	frame = rig_send(1800, 1);
	ck_assert_uint_eq(rig_pass(), 1);
	merged(m.host, 1024, 2, frame, 1800);
}
END_TEST

/* 47, 36: what cannot take a frame goes back, and the frame with it; the next one has a chance. */
START_TEST(h47_a_buffer_smaller_than_the_header_is_a_bad_chain)
{
	const struct rig_options o = mergeable_variant(_i);
	struct fe_mem m, small;
	struct fe_used used[4];
	struct fe_buf buf;
	const uint8_t *frame;

	rig_open(&o);
	small = rig_alloc(b, 16);
	buf = (struct fe_buf){small.gpa, HEADER - 1};
	memset(small.host, 0xee, 16);
	rig_add(b, RX, &buf, 0, 1);
	m = rig_offer(b, 1, 1024);
	rig_send(64, 1);
	frame = rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 2);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_BAD_CHAIN), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 2);
	ck_assert_uint_eq(used[0].len, 0);
	ck_assert_uint_eq(used[1].len, HEADER + 64);
	ck_assert_mem_eq(m.host + HEADER, frame, 64);
	ck_assert_uint_eq(small.host[0], 0xee);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(h36_readable_buffers_take_no_frame)
{
	const struct rig_options o = mergeable_variant(_i);
	struct fe_buf bufs[2];
	struct fe_used used[4];
	struct fe_mem m;

	rig_open(&o);
	m = rig_alloc(b, 2048);
	bufs[0] = (struct fe_buf){m.gpa, 1024};
	bufs[1] = (struct fe_buf){m.gpa + 1024, 1024};
	memset(m.host, 0xee, 2048);
	rig_add(b, RX, bufs, 1, 0);
	rig_add(b, RX, bufs, 1, 1);
	rig_send(64, 1);
	rig_send(64, 2);
	rig_send(64, 3);
	ck_assert_uint_eq(rig_pass(), 3);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_BAD_CHAIN), 2);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_NO_DESCRIPTORS), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 2);
	for (unsigned i = 0; i < 2048; i++)
		rig_check(m.host[i] == 0xee);
}
END_TEST

/* A bad one in the middle of a frame: what comes before goes back empty, too. */
START_TEST(h47_a_bad_chain_within_a_frame_ends_it)
{
	const struct rig_options o = mergeable_variant(_i);
	struct fe_used used[4];
	struct fe_buf buf;

	rig_open(&o);
	rig_offer(b, 1, 1024);
	buf = (struct fe_buf){RIG_GPA - 4096, 1024};
	rig_add(b, RX, &buf, 0, 1);
	rig_offer(b, 1, 1024);
	rig_send(2000, 1);
	rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 2);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_BAD_CHAIN), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 3);
	ck_assert_uint_eq(used[0].len | used[1].len, 0);
	ck_assert_uint_eq(used[2].len, HEADER + 64);
}
END_TEST

/* 37: more buffers than a frame may have, each as small as may be. */
START_TEST(h37_a_frame_in_crumbs_is_bounded)
{
	struct rig_options o = mergeable_variant(_i / 2);
	struct fe_buf bufs[8];

	/* In one piece, or in eight. */
	o.indirect = _i % 2 ? 8 : 0;
	rig_open(&o);
	if (_i % 2) {
		for (unsigned i = 0; i < 8; i++)
			bufs[i] = (struct fe_buf){rig_alloc(b, 2).gpa, 2};
		for (unsigned i = 0; i < RIG_RING_SIZE; i++)
			rig_add(b, RX, bufs, 0, 8);
	} else {
		rig_offer(b, RIG_RING_SIZE, HEADER);
	}
	rig_send(NET_MAX_FRAME_BYTES, 1);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(rig_drops(b, RX, NET_DROP_TOO_LARGE), 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* mark_mbufs - as if every one had carried a frame that was hashed. */
static void mark_mbufs(void)
{
	struct rte_mbuf *mbufs[RIG_MBUFS];

	ck_assert_int_eq(rte_pktmbuf_alloc_bulk(rig_lcore->pool, mbufs, RIG_MBUFS), 0);
	for (unsigned i = 0; i < RIG_MBUFS; i++) {
		net_meta(mbufs[i])->hash_type = VIRTIO_NET_HASH_REPORT_TCPv4;
		net_meta(mbufs[i])->hash = 0xabcdef;
	}
	rte_pktmbuf_free_bulk(mbufs, RIG_MBUFS);
}

/* The hash report: 20 bytes of header. No hash was asked for, and none is told. */
START_TEST(a_longer_header_is_left_room_for)
{
	static const uint8_t no_hash[8] = {0};
	struct rig_options o = mergeable_variant(_i);
	struct fe_used used[2];
	const uint8_t *sent;
	struct fe_mem at;
	struct fe_buf buf;

	o.features |= VU_BIT(VIRTIO_NET_F_HASH_REPORT);
	rig_open(&o);
	mark_mbufs();
	at = rig_alloc(a, 20 + 64);
	memset(at.host, 0, 20);
	rig_fill(at.host + 20, 64, 1);
	sent = at.host + 20;
	buf = (struct fe_buf){at.gpa, 20 + 64};
	rig_add(a, TX, &buf, 1, 0);
	at = rig_offer(b, 1, 1024);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 2), 1);
	ck_assert_uint_eq(used[0].len, 84);
	ck_assert_mem_eq(at.host + 20, sent, 64);
	ck_assert_uint_eq(at.host[10], 1);
	ck_assert_mem_eq(at.host + 12, no_hash, sizeof(no_hash));
}
END_TEST

/* --- when it is told --- */

static uint64_t calls(struct rig_guest *g, unsigned i)
{
	uint64_t count = 0;

	if (read(g->ring[i].call_fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

START_TEST(a_burst_is_one_interrupt)
{
	struct rig_options o = mergeable_variant(_i / 2);

	o.event_idx = _i % 2;
	rig_open(&o);
	rig_offer(b, 64, 256);
	ck_assert(fe_ring_interrupts_on(&b->ring[RX]));
	ck_assert(fe_ring_interrupts_on(&a->ring[TX]));
	for (unsigned i = 0; i < 20; i++)
		rig_send(64, i);
	ck_assert_uint_eq(rig_pass(), 20);
	ck_assert_uint_eq(calls(b, RX), 1);
	ck_assert_uint_eq(calls(a, TX), 1);
	fe_ring_interrupts_off(&b->ring[RX]);
	rig_send(64, 1);
	rig_pass();
	ck_assert_uint_eq(calls(b, RX), 0);
}
END_TEST

START_TEST(interrupts_are_held_back_as_the_driver_asks)
{
	const struct rig_options o = mergeable_variant(_i);
	struct net_guest_queue *queue;

	rig_open(&o);
	rig_lcore->now = clock_ticks();
	rig_lcore->num_held = 0;
	queue = b->vq[RX].device_data;
	b->config.rx_coalesce = (struct net_coalesce){.max_frames = 4, .max_us = 1000};
	rig_offer(b, 64, 256);
	ck_assert(fe_ring_interrupts_on(&b->ring[RX]));
	for (unsigned i = 0; i < 3; i++)
		rig_send(64, i);
	rig_pass();
	ck_assert_uint_eq(calls(b, RX), 0);
	ck_assert_uint_eq(rig_lcore->num_held, 1);
	rig_send(64, 4); /* the fourth */
	rig_pass();
	ck_assert_uint_eq(calls(b, RX), 1);
	ck_assert_uint_eq(rig_lcore->num_held, 0);
	/* One alone, until its time has come. */
	ck_assert(fe_ring_interrupts_on(&b->ring[RX]) || true);
	rig_send(64, 5);
	rig_pass();
	net_guest_queue_tell_held(queue, false);
	ck_assert_uint_eq(calls(b, RX), 0);
	rig_lcore->now += clock_ns_to_ticks(1000000);
	net_guest_queue_tell_held(queue, false);
	ck_assert_uint_eq(calls(b, RX), 1);
	ck_assert_uint_eq(rig_lcore->num_held, 0);
}
END_TEST

/* --- the dirty log --- */

static uint8_t log_bits[(RIG_GPA + 2 * RIG_REGION) / 4096 / 8];

static bool marked(uint64_t gpa)
{
	uint64_t page = gpa / 4096;

	return log_bits[page / 8] & 1u << page % 8;
}

START_TEST(what_a_guest_receives_is_marked_dirty)
{
	static const struct mem_dirty dirty = {.bits = log_bits, .pages = sizeof(log_bits) * 8};
	struct rig_options o = mergeable_variant(_i);
	struct fe_mem m;
	const uint8_t *frame;

	o.dirty = &dirty;
	rig_open(&o);
	m = rig_offer(b, 8, 4096);
	frame = rig_send(10000, 1); /* 3 buffers */
	ck_assert_uint_eq(rig_pass(), 1);
	merged(m.host, 4096, 3, frame, 10000);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(marked(m.gpa + i * 4096));
	ck_assert(!marked(m.gpa + 5 * 4096));
	rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 1);
	ck_assert(marked(m.gpa + 3 * 4096));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_rx");
	TCase *tc = tcase_create("rx");

	rig_start();
	tcase_add_loop_test(tc, a_large_frame_takes_as_few_buffers_as_hold_it, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, frames_of_one_and_of_many_buffers_keep_their_order, 0,
			    RIG_VARIANTS);
	tcase_add_loop_test(tc, what_finds_no_room_leaves_no_trace, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, without_merging_a_frame_has_one_buffer_or_none, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, buffers_of_several_descriptors_are_written_as_one, 0,
			    2 * RIG_VARIANTS);
	tcase_add_loop_test(tc, h47_a_buffer_smaller_than_the_header_is_a_bad_chain, 0,
			    RIG_VARIANTS);
	tcase_add_loop_test(tc, h36_readable_buffers_take_no_frame, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h47_a_bad_chain_within_a_frame_ends_it, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h37_a_frame_in_crumbs_is_bounded, 0, 2 * RIG_VARIANTS);
	tcase_add_loop_test(tc, a_longer_header_is_left_room_for, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, a_burst_is_one_interrupt, 0, 2 * RIG_VARIANTS);
	tcase_add_loop_test(tc, interrupts_are_held_back_as_the_driver_asks, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, what_a_guest_receives_is_marked_dirty, 0, RIG_VARIANTS);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
