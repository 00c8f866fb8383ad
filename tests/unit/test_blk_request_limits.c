/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_request_limits.c - a block request outside of what the disk has or allows is refused,
 * whatever the guest does to its memory meanwhile. Tests blk/request, without a ring.
 */
#include <pthread.h>

#include "tests/unit/blk_request_rig.h"

/* --- ranges of the disk --- */

START_TEST(data_within_the_capacity)
{
	static const struct {
		uint64_t sector;
		size_t sectors;
		bool good;
	} cases[] = {
		{0, 8, true},
		{CAPACITY - 8, 8, true},
		{CAPACITY - 1, 1, true},
		{CAPACITY - 7, 8, false},
		{CAPACITY - 1, 2, false},
		{CAPACITY, 1, false},
		{CAPACITY + 1, 1, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX - 7, 8, false},
		{UINT64_MAX / SECTOR, 1, false}, /* times 512: just fits 64 bits */
		{UINT64_MAX / SECTOR + 1, 1, false}, /* times 512: 0 */
		{UINT64_MAX / SECTOR + 9, 1, false},
		{1ull << 55, 1, false},
		{1ull << 63, 1, false},
	};

	make_read(cases[_i].sector, cases[_i].sectors * SECTOR);
	if (cases[_i].good)
		expect_go(BLK_READ);
	else
		expect_out_of_range();
	setup();
	make_write(cases[_i].sector, cases[_i].sectors * SECTOR);
	if (cases[_i].good)
		expect_go(BLK_WRITE);
	else
		expect_out_of_range();
}
END_TEST

/* A length is of the chain's descriptors, which may sum up to more than there is memory. */
START_TEST(data_longer_than_any_request)
{
	limits.capacity_sectors = UINT64_MAX / SECTOR;
	head(VIRTIO_BLK_T_IN, 0);
	in(data, SECTOR);
	in(&status, 1);
	req.chain.in_bytes = BLK_DATA_MAX + SECTOR + 1;
	expect_malformed();
}
END_TEST

START_TEST(no_data_is_done_at_once)
{
	make_read(CAPACITY, 0);
	expect_done(VIRTIO_BLK_S_OK, BLK_CAUSE_NONE);
	make_write(0, 0);
	expect_done(VIRTIO_BLK_S_OK, BLK_CAUSE_NONE);
	make_read(CAPACITY + 1, 0);
	expect_out_of_range();
}
END_TEST

START_TEST(capacity_that_grows_counts_at_once)
{
	make_read(CAPACITY, SECTOR);
	expect_out_of_range();
	limits.capacity_sectors = CAPACITY + 1;
	make_read(CAPACITY, SECTOR);
	expect_go(BLK_READ);
}
END_TEST

START_TEST(segments_within_the_capacity)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors;
		bool good;
	} cases[] = {
		{0, CAPACITY, true},
		{CAPACITY - 1, 1, true},
		{CAPACITY, 0, true},
		{0, CAPACITY + 1, false},
		{CAPACITY, 1, false},
		{CAPACITY - 1, 2, false},
		{CAPACITY + 1, 0, false},
		{UINT64_MAX, 1, false},
		{UINT64_MAX - 1, UINT32_MAX, false},
		{0, UINT32_MAX, false},
		{1ull << 55, 8, false},
	};
	unsigned type;

	for (type = VIRTIO_BLK_T_DISCARD; type <= VIRTIO_BLK_T_WRITE_ZEROES; type += 2) {
		setup();
		range(0, 0, 8, 0);
		range(1, cases[_i].sector, cases[_i].sectors, 0); /* a good one before it */
		make_ranges(type, 2);
		if (cases[_i].good)
			ck_assert(blk_request_parse(&req, &limits));
		else
			expect_out_of_range();
	}
}
END_TEST

START_TEST(segment_longer_than_offered)
{
	limits.capacity_sectors = UINT64_MAX / SECTOR;
	range(0, 0, BLK_RANGE_SECTORS, 0);
	make_ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1);
	expect_go(BLK_WRITE_ZEROES);
	range(0, 0, BLK_RANGE_SECTORS + 1, 0);
	make_ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1);
	expect_out_of_range();
}
END_TEST

START_TEST(more_segments_than_offered)
{
	make_ranges(VIRTIO_BLK_T_DISCARD, BLK_MAX_RANGES);
	expect_go(BLK_DISCARD);
	ck_assert_uint_eq(req.num_ranges, BLK_MAX_RANGES);
	make_ranges(VIRTIO_BLK_T_DISCARD, BLK_MAX_RANGES + 1);
	expect_out_of_range();
}
END_TEST

/* 256 segments more would be none in eight bits. */
START_TEST(segments_do_not_wrap)
{
	static uint8_t many[(256 + 1) * sizeof(ranges[0])];

	head(VIRTIO_BLK_T_DISCARD, 0);
	out(many, sizeof(many));
	in(&status, 1);
	expect_out_of_range();
}
END_TEST

START_TEST(segments_of_a_wrong_length)
{
	static const size_t lens[] = {0, 1, 15, 17, 31, 33};

	head(VIRTIO_BLK_T_WRITE_ZEROES, 0);
	if (lens[_i])
		out(ranges, lens[_i]);
	in(&status, 1);
	expect_malformed();
}
END_TEST

/* 5.2.6.2: unknown flags, and unmap on a discard, are unsupported. */
START_TEST(segment_flags)
{
	static const struct {
		uint32_t type, flags;
		bool good;
	} cases[] = {
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, true},
		{VIRTIO_BLK_T_WRITE_ZEROES, 1, true},
		{VIRTIO_BLK_T_WRITE_ZEROES, 2, false},
		{VIRTIO_BLK_T_WRITE_ZEROES, 3, false},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0x80000000u, false},
		{VIRTIO_BLK_T_DISCARD, 0, true},
		{VIRTIO_BLK_T_DISCARD, 1, false},
		{VIRTIO_BLK_T_DISCARD, 2, false},
	};

	range(0, 0, 8, 0);
	range(1, 8, 8, cases[_i].flags);
	make_ranges(cases[_i].type, 2);
	if (cases[_i].good)
		ck_assert(blk_request_parse(&req, &limits));
	else
		expect_unsupported();
}
END_TEST

START_TEST(read_only_disk_refuses_changes)
{
	limits.read_only = true;
	range(0, 0, 8, 0);
	switch (_i) {
	case 0:
		make_write(0, SECTOR);
		break;
	case 1:
		make_ranges(VIRTIO_BLK_T_DISCARD, 1);
		break;
	case 2:
		make_ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1);
		break;
	default:
		make_write(0, 0);
	}
	expect_done(VIRTIO_BLK_S_IOERR, BLK_CAUSE_READ_ONLY);
}
END_TEST

START_TEST(read_only_disk_reads)
{
	limits.read_only = true;
	make_read(0, SECTOR);
	expect_go(BLK_READ);
}
END_TEST

/* --- guest memory changes (contract 4) --- */

START_TEST(what_was_checked_is_what_counts)
{
	range(0, 16, 8, 0);
	make_ranges(VIRTIO_BLK_T_DISCARD, 1);
	expect_go(BLK_DISCARD);
	range(0, UINT64_MAX, UINT32_MAX, UINT32_MAX);
	header.type = htole32(VIRTIO_BLK_T_OUT);
	header.sector = UINT64_MAX;
	ck_assert_uint_eq(req.op, BLK_DISCARD);
	ck_assert_uint_eq(req.ranges[0].sector, 16);
	ck_assert_uint_eq(req.ranges[0].num_sectors, 8);
	ck_assert_uint_eq(req.ranges[0].flags, 0);

	setup();
	make_write(3, SECTOR);
	expect_go(BLK_WRITE);
	header.type = htole32(VIRTIO_BLK_T_IN);
	header.sector = UINT64_MAX;
	ck_assert_uint_eq(req.op, BLK_WRITE);
	ck_assert_uint_eq(req.offset_bytes, 3 * SECTOR);
}
END_TEST

static bool flipping;

/* Another CPU of the guest, between a good and a bad sector, type and length all the time. */
static void *flip(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; __atomic_load_n(&flipping, __ATOMIC_RELAXED); i++) {
		uint64_t sector = i & 1 ? 0 : UINT64_MAX - 3;
		uint32_t sectors = i & 1 ? 8 : UINT32_MAX;

		__atomic_store_n(&header.sector, sector, __ATOMIC_RELAXED);
		__atomic_store_n(&header.type, i & 2 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_OUT,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&ranges[0].sector, sector, __ATOMIC_RELAXED);
		__atomic_store_n(&ranges[0].num_sectors, sectors, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(memory_that_changes_meanwhile)
{
	pthread_t thread;
	unsigned i, good = 0;

	flipping = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, NULL), 0);
	for (i = 0; i < 200000; i++) {
		chain();
		if (i & 1) { /* the copy of split framing as well */
			out(&header, 9);
			out((uint8_t *)&header + 9, HEADER_LEN - 9);
		} else {
			out(&header, HEADER_LEN);
		}
		out(ranges, SECTOR);
		in(&status, 1);
		if (!blk_request_parse(&req, &limits))
			continue;
		good++;
		if (req.op == BLK_WRITE) {
			ck_assert_uint_le(req.offset_bytes, (CAPACITY - 1) * SECTOR);
		} else {
			ck_assert_uint_eq(req.op, BLK_DISCARD);
			ck_assert_uint_le(req.ranges[0].sector, CAPACITY);
			ck_assert_uint_le(req.ranges[0].num_sectors,
					  CAPACITY - req.ranges[0].sector);
		}
	}
	__atomic_store_n(&flipping, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(good, 0);
}
END_TEST

/* --- moving data --- */

START_TEST(data_is_copied_through_odd_pieces)
{
	uint8_t from[1000], back[1000] = {0};
	unsigned i;

	for (i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7);
	make_read(0, 0);
	chain();
	out(&header, HEADER_LEN);
	in(data, 1);
	in(data + 10, 600);
	in(data + 700, 423);
	in(&status, 1);
	expect_go(BLK_READ);
	blk_data_to_guest(&req, from, sizeof(from));
	ck_assert_uint_eq(data[0], from[0]);
	ck_assert_mem_eq(data + 10, from + 1, 600);
	ck_assert_mem_eq(data + 700, from + 601, 399);
	blk_data_from_guest(&req, back, sizeof(back));
	ck_assert_mem_eq(back, from, sizeof(from));
}
END_TEST

START_TEST(data_advances_over_short_transfers)
{
	make_read(0, 0);
	chain();
	out(&header, HEADER_LEN);
	in(data, 100);
	in(data + 100, 412);
	in(&status, 1);
	expect_go(BLK_READ);
	blk_data_advance(&req, 99);
	ck_assert_uint_eq(req.num_data, 2);
	ck_assert_ptr_eq(req.data->iov_base, data + 99);
	ck_assert_uint_eq(req.data->iov_len, 1);
	blk_data_advance(&req, 2);
	ck_assert_uint_eq(req.num_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data + 101);
	ck_assert_uint_eq(req.data->iov_len, 411);
	blk_data_advance(&req, 411);
	ck_assert_uint_eq(req.num_data, 0);
}
END_TEST

/* --- errors of the I/O below --- */

START_TEST(errno_becomes_a_cause)
{
	static const struct {
		int err;
		enum blk_cause cause;
	} cases[] = {
		{ENOSPC, BLK_CAUSE_NO_SPACE},
		{EDQUOT, BLK_CAUSE_NO_SPACE},
		{EIO, BLK_CAUSE_IO},
		{EBADF, BLK_CAUSE_IO},
	};

	req.written_bytes = SECTOR;
	ck_assert(blk_request_fail_errno(&req, cases[_i].err));
	ck_assert_uint_eq(req.status, VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(req.cause, cases[_i].cause);
	ck_assert_uint_eq(req.written_bytes, 0);
}
END_TEST

static void add_limits(TCase *place)
{
	tcase_add_loop_test(place, data_within_the_capacity, 0, 14);
	tcase_add_test(place, data_longer_than_any_request);
	tcase_add_test(place, no_data_is_done_at_once);
	tcase_add_test(place, capacity_that_grows_counts_at_once);
	tcase_add_loop_test(place, segments_within_the_capacity, 0, 11);
	tcase_add_test(place, segment_longer_than_offered);
	tcase_add_test(place, more_segments_than_offered);
	tcase_add_test(place, segments_do_not_wrap);
	tcase_add_loop_test(place, segments_of_a_wrong_length, 0, 6);
	tcase_add_loop_test(place, segment_flags, 0, 8);
	tcase_add_loop_test(place, read_only_disk_refuses_changes, 0, 4);
	tcase_add_test(place, read_only_disk_reads);
}

int main(void)
{
	Suite *suite = suite_create("blk_request_limits");
	TCase *tcase;

	add_limits(group(suite, "limits"));
	tcase = group(suite, "changing memory");
	tcase_add_test(tcase, what_was_checked_is_what_counts);
	tcase_add_test(tcase, memory_that_changes_meanwhile);
	tcase = group(suite, "data");
	tcase_add_test(tcase, data_is_copied_through_odd_pieces);
	tcase_add_test(tcase, data_advances_over_short_transfers);
	tcase_add_loop_test(tcase, errno_becomes_a_cause, 0, 4);
	return run_suite(suite);
}
