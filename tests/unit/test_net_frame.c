/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that borrow: owned, copied, read in parts, freed. Tests net/frame.
 */
#include "tests/unit/net_rig.h"

/* What is in the mbuf, and in how many pieces the rest of @bytes is borrowed. */
static const struct {
	uint32_t bytes, first;
	unsigned pieces;
} shapes[] = {
	{64, 64, 0},
	{300, 256, 1},
	{1518, 256, 1},
	{1518, 256, 7},
	{2048, 2048, 0},
	{2049, 2048, 1},
	{2048, 1000, 3},
	{4096, 256, 2},
	{9000, 256, 250},
	{65535, 256, 17},
	{NET_MAX_FRAME_BYTES, 14, 33},
	{NET_MAX_FRAME_BYTES, 256, 256},
};

static uint8_t content[NET_MAX_FRAME_BYTES];
static struct iovec rest[256];

static struct rte_mbuf *make(unsigned i)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(rig_lcore->pool);
	struct net_frame_meta *meta = net_meta(frame);
	uint32_t left = shapes[i].bytes - shapes[i].first, at = shapes[i].first;

	rig_fill(content, shapes[i].bytes, i);
	net_frame_reset(frame);
	memcpy(rte_pktmbuf_append(frame, (uint16_t)shapes[i].first), content, shapes[i].first);
	for (unsigned n = 0; n < shapes[i].pieces; n++) {
		uint32_t part = n + 1 == shapes[i].pieces ? left : left / (shapes[i].pieces - n);

		rest[n] = (struct iovec){content + at, part};
		at += part;
		left -= part;
	}
	ck_assert_uint_eq(left, 0);
	meta->rest = rest;
	meta->num_rest = (uint16_t)shapes[i].pieces;
	meta->rest_bytes = shapes[i].bytes - shapes[i].first;
	meta->offload.gso_bytes = 1234;
	return frame;
}

/* whole - the mbufs of @frame hold all of it. */
static void whole(struct rte_mbuf *frame, const uint8_t *expected, uint32_t bytes)
{
	const char *reason;
	uint8_t *read = malloc(bytes);

	ck_assert_uint_eq(net_meta(frame)->rest_bytes, 0);
	ck_assert_uint_eq(frame->pkt_len, bytes);
	ck_assert_msg(rte_mbuf_check(frame, 1, &reason) == 0, "%s", reason);
	net_frame_read(frame, 0, read, bytes);
	ck_assert_mem_eq(read, expected, bytes);
	ck_assert_uint_eq(net_meta(frame)->offload.gso_bytes, 1234);
	free(read);
}

START_TEST(an_owned_frame_depends_on_nothing_else)
{
	struct rte_mbuf *frame = make((unsigned)_i);
	uint32_t bytes = shapes[_i].bytes;
	uint8_t *copy = malloc(bytes);

	memcpy(copy, content, bytes);
	ck_assert_uint_eq(net_frame_bytes(frame), bytes);
	ck_assert_int_eq(net_frame_own(frame), 0);
	memset(content, 0, sizeof(content));
	whole(frame, copy, bytes);
	net_frames_free(&frame, 1);
	free(copy);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(a_copy_leaves_the_frame_as_it_was)
{
	struct rte_mbuf *frame = make((unsigned)_i), *copy;
	uint32_t bytes = shapes[_i].bytes;

	copy = net_frame_copy(frame, rig_lcore->pool);
	ck_assert_ptr_nonnull(copy);
	whole(copy, content, bytes);
	ck_assert_uint_eq(net_frame_bytes(frame), bytes);
	ck_assert_uint_eq(net_meta(frame)->num_rest, shapes[_i].pieces);
	net_frames_free(&frame, 1);
	net_frames_free(&copy, 1);
	ck_assert(rig_all_mbufs());
}
END_TEST

START_TEST(any_range_can_be_read)
{
	struct rte_mbuf *frame = make((unsigned)_i);
	uint32_t bytes = shapes[_i].bytes, x = 1;
	static uint8_t read[NET_MAX_FRAME_BYTES];

	for (unsigned n = 0; n < 200; n++) {
		uint32_t offset, len;

		x = x * 1664525 + 1013904223;
		offset = x % bytes;
		len = (x >> 3) % (bytes - offset + 1);
		net_frame_read(frame, offset, read, len);
		rig_check(!memcmp(read, content + offset, len));
	}
	net_frames_free(&frame, 1);
}
END_TEST

/* Neither owning nor copying takes half of what it needs. */
START_TEST(an_empty_pool_changes_nothing)
{
	struct rte_mbuf *frame = make((unsigned)_i);
	void *all[RIG_MBUFS - 1];
	bool fits = shapes[_i].bytes <= NET_MBUF_BYTES;

	ck_assert_int_eq(rte_mempool_get_bulk(rig_lcore->pool, all, RIG_MBUFS - 2), 0);
	/* One is left: a frame of one mbuf can be copied, one of three not owned. */
	ck_assert_int_eq(net_frame_own(frame),
			 shapes[_i].bytes <= 2 * NET_MBUF_BYTES ? 0 : -ENOMEM);
	if (shapes[_i].bytes > 2 * NET_MBUF_BYTES) {
		ck_assert_uint_eq(frame->nb_segs, 1);
		ck_assert_uint_eq(net_frame_bytes(frame), shapes[_i].bytes);
		ck_assert_ptr_null(net_frame_copy(frame, rig_lcore->pool));
	} else if (fits) {
		struct rte_mbuf *copy = net_frame_copy(frame, rig_lcore->pool);

		ck_assert_ptr_nonnull(copy);
		net_frames_free(&copy, 1);
	}
	net_frames_free(&frame, 1);
	rte_mempool_put_bulk(rig_lcore->pool, all, RIG_MBUFS - 2);
	ck_assert(rig_all_mbufs());
}
END_TEST

/* Of one pool and of another, of one mbuf and of several, and one that is referred to twice. */
START_TEST(frames_of_all_kinds_are_freed_together)
{
	struct rte_mempool *other = net_pool_create("other", 63, SOCKET_ID_ANY);
	struct rte_mbuf *frames[12], *kept;

	ck_assert_ptr_nonnull(other);
	for (unsigned i = 0; i < 12; i++) {
		frames[i] = rte_pktmbuf_alloc(i / 2 % 2 ? other : rig_lcore->pool);
		if (i % 3 == 0)
			rte_pktmbuf_chain(frames[i], rte_pktmbuf_alloc(rig_lcore->pool));
	}
	kept = frames[5];
	rte_mbuf_refcnt_update(kept, 1);
	net_frames_free(frames, 12);
	ck_assert_uint_eq(rte_mempool_avail_count(rig_lcore->pool) + rte_mempool_avail_count(other),
			  RIG_MBUFS + 63 - 1);
	net_frames_free(&kept, 1);
	ck_assert(rig_all_mbufs());
	ck_assert_uint_eq(rte_mempool_avail_count(other), 63);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_frame");
	TCase *tc = tcase_create("frame");

	rig_start();
	tcase_add_loop_test(tc, an_owned_frame_depends_on_nothing_else, 0, ARRAY_SIZE(shapes));
	tcase_add_loop_test(tc, a_copy_leaves_the_frame_as_it_was, 0, ARRAY_SIZE(shapes));
	tcase_add_loop_test(tc, any_range_can_be_read, 0, ARRAY_SIZE(shapes));
	tcase_add_loop_test(tc, an_empty_pool_changes_nothing, 0, ARRAY_SIZE(shapes));
	tcase_add_test(tc, frames_of_all_kinds_are_freed_together);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
