/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest sends: taken whatever its framing, or dropped by a name, and every chain given back.
 * Tests net/tx with net/rx, forward and lcore behind it.
 */
#include "tests/unit/net_rig.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)

static struct rig_guest *const a = &rig_guests[0], *const b = &rig_guests[1];

/* returned - so many chains of guest 0 came back, with nothing written to them. */
static void returned(unsigned n)
{
	struct fe_used used[NET_BURST];

	rig_check(n <= NET_BURST);
	ck_assert_uint_eq(rig_poll(a, TX, used, NET_BURST), n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_uint_eq(used[i].len, 0);
}

/* arrived - guest 1 has received @frame, and nothing else, in a buffer at @at. */
static void arrived(const uint8_t *at, const uint8_t *frame, uint32_t bytes)
{
	static const uint8_t plain[HEADER] = {[10] = 1}; /* num_buffers */
	struct fe_used used[2];

	ck_assert_uint_eq(rig_poll(b, RX, used, 2), 1);
	ck_assert_uint_eq(used[0].len, HEADER + bytes);
	ck_assert_mem_eq(at, plain, HEADER);
	ck_assert_mem_eq(at + HEADER, frame, bytes);
}

/* Sizes around every limit there is within: copied whole, borrowed, as large as can be. */
START_TEST(frames_of_all_sizes_arrive_as_they_were)
{
	static const uint32_t sizes[] = {14,   15,   60,    64,    255,
					 256,  257,  511,   512,   513,
					 1514, 1518, 2047,  2048,  2049,
					 4096, 9000, 65535, 65549, NET_MAX_FRAME_BYTES};
	const struct rig_options o = rig_variant(_i);

	rig_open(&o);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fe_mem at = rig_offer(b, 1, HEADER + NET_MAX_FRAME_BYTES);
		const uint8_t *frame = rig_send(sizes[i], i);

		ck_assert_uint_eq(rig_pass(), 1);
		arrived(at.host, frame, sizes[i]);
		returned(1);
	}
	ck_assert_uint_eq(vq_count(&a->guest.from[0].frames), ARRAY_SIZE(sizes));
	ck_assert_uint_eq(vq_count(&b->guest.to[0].bytes), vq_count(&a->guest.from[0].bytes));
	ck_assert(rig_all_mbufs());
}
END_TEST

/* More than fit a burst, all the way round the ring several times. */
START_TEST(bursts_arrive_in_order)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_used used[RIG_RING_SIZE];
	unsigned round, i, sent, got;

	rig_open(&o);
	for (round = 0; round < 12; round++) {
		unsigned n = 1 + (round * 29) % 90;
		struct fe_mem at = rig_offer(b, n, 128);
		const uint8_t *frames[90];

		for (i = 0; i < n; i++)
			frames[i] = rig_send(64, round * 100 + i);
		for (sent = 0; sent < n;)
			sent += rig_pass();
		rig_check(sent == n);
		got = rig_poll(b, RX, used, RIG_RING_SIZE);
		rig_check(got == n && rig_poll(a, TX, used, RIG_RING_SIZE) == n);
		for (i = 0; i < n; i++)
			rig_check(!memcmp(at.host + i * 128 + HEADER, frames[i], 64));
	}
	ck_assert(rig_all_mbufs());
}
END_TEST

/* 43: a header over several descriptors, pieces of one byte, data that begins in the middle. */
START_TEST(h43_any_framing_is_the_same_frame)
{
	static const uint32_t cuts[][6] = {
		{HEADER, 200},       {4, 8, 200},          {1, 1, 1, 9, 200},
		{HEADER + 100, 100}, {5, 107, 100},        {HEADER, 1, 1, 1, 197},
		{HEADER + 199, 1},   {3, 9, 3, 3, 3, 191},
	};
	struct rig_options o = rig_variant(_i / 2);

	o.indirect = _i % 2 ? 8 : 0;
	rig_open(&o);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct fe_mem at = rig_offer(b, 1, 512), piece = rig_alloc(a, HEADER + 200);
		struct fe_buf bufs[6];
		uint64_t gpa = piece.gpa;
		unsigned n;

		memset(piece.host, 0, HEADER);
		rig_fill(piece.host + HEADER, 200, i);
		for (n = 0; n < 6 && cuts[i][n]; gpa += cuts[i][n++])
			bufs[n] = (struct fe_buf){gpa, cuts[i][n]};
		ck_assert_uint_eq(gpa, piece.gpa + HEADER + 200);
		rig_add(a, TX, bufs, n, 0);
		ck_assert_uint_eq(rig_pass(), 1);
		arrived(at.host, piece.host + HEADER, 200);
		returned(1);
	}
}
END_TEST

/* A buffer that lies in two regions. */
START_TEST(a_frame_over_the_seam_of_two_regions_arrives)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_mem at;
	struct fe_buf buf = {RIG_SEAM - 1000, HEADER + 2000};
	uint8_t frame[2000];

	rig_open(&o);
	at = rig_offer(b, 1, 4096);
	rig_fill(frame, sizeof(frame), 1);
	memset(a->mem.regions[0].host + RIG_REGION - 1000, 0, HEADER);
	memcpy(a->mem.regions[0].host + RIG_REGION - 1000 + HEADER, frame, 1000 - HEADER);
	memcpy(a->mem.regions[1].host, frame + 1000 - HEADER, 1000 + HEADER);
	rig_add(a, TX, &buf, 1, 0);
	ck_assert_uint_eq(rig_pass(), 1);
	arrived(at.host, frame, sizeof(frame));
	returned(1);
}
END_TEST

/* What is dropped: lengths of the buffers, and why. */
static const struct {
	uint32_t lens[2];
	enum net_drop why;
} bad[] = {
	{{1}, NET_DROP_BAD_CHAIN},
	{{HEADER - 1}, NET_DROP_BAD_CHAIN},
	{{HEADER}, NET_DROP_BAD_CHAIN},
	{{HEADER + 13}, NET_DROP_BAD_CHAIN},
	{{HEADER - 1, 13}, NET_DROP_BAD_CHAIN},
	{{4, 4}, NET_DROP_BAD_CHAIN},
	{{HEADER + NET_MAX_FRAME_BYTES + 1}, NET_DROP_TOO_LARGE},
	{{HEADER, NET_MAX_FRAME_BYTES + 1}, NET_DROP_TOO_LARGE},
	{{1u << 20}, NET_DROP_TOO_LARGE},
};

START_TEST(h43_no_frame_is_dropped_by_name_and_given_back)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_mem at;

	rig_open(&o);
	at = rig_offer(b, 1, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t before = rig_drops(a, TX, bad[i].why);
		struct fe_buf bufs[2] = {{RIG_GPA + (2 << 20), bad[i].lens[0]},
					 {RIG_GPA + (2 << 20), bad[i].lens[1]}};

		rig_add(a, TX, bufs, bad[i].lens[1] ? 2 : 1, 0);
		ck_assert_uint_eq(rig_pass(), 1);
		returned(1);
		ck_assert_uint_eq(rig_drops(a, TX, bad[i].why), before + 1);
	}
	/* The next one is taken as ever. */
	{
		const uint8_t *frame = rig_send(64, 1);

		rig_pass();
		arrived(at.host, frame, 64);
	}
	ck_assert(rig_all_mbufs());
}
END_TEST

/* 36: a driver that offers what is to be written. */
START_TEST(h36_writable_buffers_are_no_frame)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_buf bufs[2] = {{RIG_GPA + (2 << 20), HEADER + 64}, {RIG_GPA + (3 << 20), 64}};
	struct fe_used used[2];

	rig_open(&o);
	rig_add(a, TX, bufs, 0, 1);
	rig_add(a, TX, bufs, 1, 1);
	ck_assert_uint_eq(rig_pass(), 2);
	/* In order, one used element stands for both, and a driver learns of the last only. */
	ck_assert_uint_eq(rig_poll(a, TX, used, 2), 2);
	ck_assert_uint_eq(used[1].len, 0);
	ck_assert_uint_eq(rig_drops(a, TX, NET_DROP_BAD_CHAIN), 2);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* DPDK's driver marks the header in an indirect table of a packed ring as to be written. */
START_TEST(a_header_marked_writable_in_an_indirect_table_is_read)
{
	const struct rig_options o = {.packed = true, .indirect = 4};
	struct vring_packed_desc *table;
	struct fe_buf bufs[2];
	struct fe_mem at, from;
	int head;

	rig_open(&o);
	at = rig_offer(b, 1, 512);
	from = rig_alloc(a, HEADER + 64);
	memset(from.host, 0, HEADER);
	rig_fill(from.host + HEADER, 64, 1);
	bufs[0] = (struct fe_buf){from.gpa, HEADER};
	bufs[1] = (struct fe_buf){from.gpa + HEADER, 64};
	head = fe_ring_add(&a->ring[TX], bufs, 2, 0);
	ck_assert_int_ge(head, 0);
	table = (struct vring_packed_desc *)a->ring[TX].indirect + head * o.indirect;
	table->flags |= htole16(VRING_DESC_F_WRITE);
	fe_ring_publish(&a->ring[TX]);
	ck_assert_uint_eq(rig_pass(), 1);
	arrived(at.host, from.host + HEADER, 64);
	returned(1);
}
END_TEST

/* 31: good ones before and behind it. */
START_TEST(h31_an_unmapped_address_costs_one_frame)
{
	const struct rig_options o = rig_variant(_i);
	struct fe_buf buf = {RIG_GPA - 64, HEADER + 64};
	struct fe_used used[4];

	rig_open(&o);
	rig_offer(b, 4, 512);
	rig_send(64, 1);
	rig_add(a, TX, &buf, 1, 0);
	rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 3);
	returned(3);
	ck_assert_uint_eq(rig_drops(a, TX, NET_DROP_BAD_CHAIN), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 2);
}
END_TEST

/* 44: and the frame behind it is none the worse. */
START_TEST(h44_a_header_that_does_not_fit_is_dropped)
{
	struct rig_options o = rig_variant(_i);
	struct fe_used used[4];
	uint8_t *frame;

	o.features = VU_BIT(VIRTIO_NET_F_CSUM);
	rig_open(&o);
	rig_offer(b, 4, 512);
	frame = rig_send(64, 1);
	frame[-(int)HEADER] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame[6 - (int)HEADER] = 63; /* csum_start */
	frame[8 - (int)HEADER] = 6; /* csum_offset */
	rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 2);
	returned(2);
	ck_assert_uint_eq(rig_drops(a, TX, NET_DROP_BAD_HEADER), 1);
	ck_assert_uint_eq(rig_poll(b, RX, used, 4), 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* 40: a driver that refills as fast as it can. */
START_TEST(h40_a_pass_takes_a_burst)
{
	const struct rig_options o = rig_variant(_i);

	rig_open(&o);
	for (unsigned i = 0; i < 100; i++)
		rig_send(64, i);
	ck_assert_uint_eq(rig_pass(), NET_BURST);
}
END_TEST

START_TEST(without_mbufs_frames_are_dropped_and_chains_are_not_kept)
{
	const struct rig_options o = rig_variant(_i);
	void *all[RIG_MBUFS];

	rig_open(&o);
	ck_assert_int_eq(rte_mempool_get_bulk(rig_lcore->pool, all, RIG_MBUFS), 0);
	rig_send(64, 1);
	rig_send(64, 2);
	ck_assert_uint_eq(rig_pass(), 2);
	returned(2);
	ck_assert_uint_eq(rig_drops(a, TX, NET_DROP_NO_MEMORY), 2);
	rte_mempool_put_bulk(rig_lcore->pool, all, RIG_MBUFS);
}
END_TEST

START_TEST(a_driver_with_a_control_queue_sends_by_enabled_pairs_only)
{
	const struct rig_options o = rig_variant(_i);

	rig_open(&o);
	a->config.filters = true;
	a->config.num_pairs = 0;
	rig_send(64, 1);
	ck_assert_uint_eq(rig_pass(), 1);
	returned(1);
	ck_assert_uint_eq(rig_drops(a, TX, NET_DROP_LINK_DOWN), 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* What is borrowed stays the guest's until the pass is over. */
START_TEST(a_borrowed_frame_is_given_back_after_it_was_copied)
{
	const struct rig_options o = rig_variant(_i);
	struct net_guest_queue *queue;
	struct rte_mbuf *frame;
	struct fe_used used[2];
	uint8_t *bytes;

	rig_open(&o);
	queue = a->vq[TX].device_data;
	bytes = rig_send(1518, 1);
	ck_assert_uint_eq(net_tx_take(queue), 1);
	frame = rig_lcore->stages[1].frames[0];
	ck_assert_uint_eq(net_frame_bytes(frame), 1518);
	ck_assert_uint_eq(net_meta(frame)->rest_bytes, 1518 - NET_HEADER_BYTES);
	ck_assert_mem_eq(net_meta(frame)->rest[0].iov_base, bytes + NET_HEADER_BYTES,
			 1518 - NET_HEADER_BYTES);
	ck_assert_uint_eq(rig_poll(a, TX, used, 2), 0);
	net_flush(rig_lcore);
	net_tx_give_back(queue);
	returned(1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_tx");
	TCase *tc = tcase_create("tx");

	rig_start();
	tcase_add_loop_test(tc, frames_of_all_sizes_arrive_as_they_were, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, bursts_arrive_in_order, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h43_any_framing_is_the_same_frame, 0, 2 * RIG_VARIANTS);
	tcase_add_loop_test(tc, a_frame_over_the_seam_of_two_regions_arrives, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h43_no_frame_is_dropped_by_name_and_given_back, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h36_writable_buffers_are_no_frame, 0, RIG_VARIANTS);
	tcase_add_test(tc, a_header_marked_writable_in_an_indirect_table_is_read);
	tcase_add_loop_test(tc, h31_an_unmapped_address_costs_one_frame, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h44_a_header_that_does_not_fit_is_dropped, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, h40_a_pass_takes_a_burst, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, without_mbufs_frames_are_dropped_and_chains_are_not_kept, 0,
			    RIG_VARIANTS);
	tcase_add_loop_test(tc, a_driver_with_a_control_queue_sends_by_enabled_pairs_only, 0,
			    RIG_VARIANTS);
	tcase_add_loop_test(tc, a_borrowed_frame_is_given_back_after_it_was_copied, 0,
			    RIG_VARIANTS);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
