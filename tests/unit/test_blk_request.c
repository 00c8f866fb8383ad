/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_request.c - every type of block request in any framing, and layouts that are wrong.
 * Tests blk/request, without a ring.
 */
#include "tests/unit/blk_request_rig.h"

/* --- the types --- */

START_TEST(read_names_its_buffers_and_place)
{
	make_read(7, 3 * SECTOR);
	expect_go(BLK_READ);
	ck_assert_uint_eq(req.offset_bytes, 7 * SECTOR);
	ck_assert_uint_eq(req.data_bytes, 3 * SECTOR);
	ck_assert_uint_eq(req.num_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data);
	ck_assert_uint_eq(req.data->iov_len, 3 * SECTOR);
	ck_assert_uint_eq(req.stage, BLK_STAGE_DATA);
	ck_assert_uint_eq(req.done_bytes, 0);
}
END_TEST

START_TEST(write_names_its_buffers_and_place)
{
	make_write(9, 2 * SECTOR);
	expect_go(BLK_WRITE);
	ck_assert_uint_eq(req.offset_bytes, 9 * SECTOR);
	ck_assert_uint_eq(req.data_bytes, 2 * SECTOR);
	ck_assert_ptr_eq(req.data->iov_base, data);
	ck_assert(!req.write_through);
}
END_TEST

START_TEST(write_through_is_of_the_limits)
{
	limits.write_through = true;
	make_write(0, SECTOR);
	expect_go(BLK_WRITE);
	ck_assert(req.write_through);
	range(0, 0, 8, 0);
	make_ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1);
	expect_go(BLK_WRITE_ZEROES);
	ck_assert(req.write_through);
}
END_TEST

START_TEST(flush_goes_to_the_sync_stage)
{
	head(VIRTIO_BLK_T_FLUSH, 0);
	in(&status, 1);
	expect_go(BLK_FLUSH);
	ck_assert_uint_eq(req.stage, BLK_STAGE_SYNC);
}
END_TEST

/* 5.2.6: the sector of a flush is 0, but no driver is refused for another. */
START_TEST(flush_ignores_its_sector)
{
	head(VIRTIO_BLK_T_FLUSH, UINT64_MAX);
	in(&status, 1);
	expect_go(BLK_FLUSH);
}
END_TEST

START_TEST(flush_has_no_data)
{
	head(VIRTIO_BLK_T_FLUSH, 0);
	if (_i)
		out(data, SECTOR);
	else
		in(data, SECTOR);
	in(&status, 1);
	expect_malformed();
}
END_TEST

START_TEST(flush_is_served_on_a_read_only_disk)
{
	limits.read_only = true;
	head(VIRTIO_BLK_T_FLUSH, 0);
	in(&status, 1);
	expect_go(BLK_FLUSH);
}
END_TEST

START_TEST(get_id_fills_what_there_is_room_for)
{
	static const size_t lens[] = {0, 1, 6, 19, 20, 21, SECTOR};
	size_t len = lens[_i], written = min_of(len, (size_t)BLK_ID_BYTES);
	char expected[BLK_ID_BYTES] = "serial";

	memset(data, 'x', sizeof(data));
	head(VIRTIO_BLK_T_GET_ID, 0);
	if (len)
		in(data, len);
	in(&status, 1);
	expect_done(VIRTIO_BLK_S_OK, BLK_CAUSE_NONE);
	ck_assert_uint_eq(req.written_bytes, written);
	ck_assert_mem_eq(data, expected, written);
	ck_assert_uint_eq(data[written], 'x');
}
END_TEST

START_TEST(get_id_fills_split_buffers)
{
	memcpy(limits.serial, "twenty-bytes-is-full", BLK_ID_BYTES);
	head(VIRTIO_BLK_T_GET_ID, 0);
	in(data, 3);
	in(data + 100, 17);
	in(&status, 1);
	expect_done(VIRTIO_BLK_S_OK, BLK_CAUSE_NONE);
	ck_assert_mem_eq(data, "twe", 3);
	ck_assert_mem_eq(data + 100, "nty-bytes-is-full", 17);
}
END_TEST

START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, VIRTIO_BLK_T_IN | 0x80000000u, 0x100, UINT32_MAX,
	};

	head(types[_i], 0);
	in(data, SECTOR);
	in(&status, 1);
	expect_unsupported();
	ck_assert_uint_eq(req.op, BLK_OPS); /* counted as no operation */
}
END_TEST

START_TEST(what_was_not_negotiated_is_unsupported)
{
	static const struct {
		uint32_t type;
		unsigned feature;
	} cases[] = {
		{VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD},
		{VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES},
	};

	range(0, 0, 8, 0);
	limits.features = ~(1ull << cases[_i].feature);
	make_ranges(cases[_i].type, 1);
	expect_unsupported();
	limits.features = 1ull << cases[_i].feature;
	make_ranges(cases[_i].type, 1);
	ck_assert(blk_request_parse(&req, &limits));
}
END_TEST

/* --- framing (2.7.4.2: a device makes no assumption) --- */

START_TEST(header_in_pieces)
{
	unsigned cut = (unsigned)_i;

	head(VIRTIO_BLK_T_IN, 11);
	chain();
	out(&header, cut);
	out((uint8_t *)&header + cut, HEADER_LEN - cut);
	in(data, SECTOR);
	in(&status, 1);
	expect_go(BLK_READ);
	ck_assert_uint_eq(req.offset_bytes, 11 * SECTOR);
	ck_assert_ptr_eq(req.data->iov_base, data);
}
END_TEST

START_TEST(header_in_sixteen_single_bytes)
{
	unsigned i;

	head(VIRTIO_BLK_T_OUT, 0x102);
	chain();
	for (i = 0; i < HEADER_LEN; i++)
		out((uint8_t *)&header + i, 1);
	out(data, SECTOR);
	in(&status, 1);
	expect_go(BLK_WRITE);
	ck_assert_uint_eq(req.offset_bytes, 0x102 * SECTOR);
	ck_assert_uint_eq(req.num_data, 1);
	ck_assert_ptr_eq(req.data->iov_base, data);
	ck_assert_uint_eq(req.data_bytes, SECTOR);
}
END_TEST

START_TEST(header_merged_with_the_data_to_write)
{
	static uint8_t merged[sizeof(struct virtio_blk_outhdr) + 2 * SECTOR];

	head(VIRTIO_BLK_T_OUT, 5);
	memcpy(merged, &header, HEADER_LEN);
	chain();
	out(merged, HEADER_LEN + SECTOR);
	out(merged + HEADER_LEN + SECTOR, SECTOR);
	in(&status, 1);
	expect_go(BLK_WRITE);
	ck_assert_uint_eq(req.data_bytes, 2 * SECTOR);
	ck_assert_uint_eq(req.num_data, 2);
	ck_assert_ptr_eq(req.data[0].iov_base, merged + HEADER_LEN);
	ck_assert_uint_eq(req.data[0].iov_len, SECTOR);
}
END_TEST

START_TEST(header_split_with_its_end_in_the_data)
{
	static uint8_t merged[8 + SECTOR];

	head(VIRTIO_BLK_T_OUT, 6);
	memcpy(merged, (uint8_t *)&header + 8, 8);
	chain();
	out(&header, 8);
	out(merged, sizeof(merged));
	in(&status, 1);
	expect_go(BLK_WRITE);
	ck_assert_uint_eq(req.offset_bytes, 6 * SECTOR);
	ck_assert_ptr_eq(req.data->iov_base, merged + 8);
	ck_assert_uint_eq(req.data->iov_len, SECTOR);
}
END_TEST

START_TEST(status_merged_with_the_data_read)
{
	static uint8_t merged[SECTOR + 1];

	head(VIRTIO_BLK_T_IN, 0);
	in(merged, sizeof(merged));
	ck_assert(blk_request_parse(&req, &limits));
	ck_assert_ptr_eq(req.status_at, merged + SECTOR);
	ck_assert_uint_eq(req.data_bytes, SECTOR);
	ck_assert_uint_eq(req.num_data, 1);
	ck_assert_uint_eq(req.data->iov_len, SECTOR);
}
END_TEST

START_TEST(data_in_odd_pieces)
{
	make_read(0, 0);
	chain();
	out(&header, HEADER_LEN);
	in(data, 1);
	in(data + 1, 510);
	in(data + 511, 1 + SECTOR);
	in(&status, 1);
	expect_go(BLK_READ);
	ck_assert_uint_eq(req.data_bytes, 2 * SECTOR);
	ck_assert_uint_eq(req.num_data, 3);
}
END_TEST

START_TEST(ranges_in_pieces_and_merged_with_the_header)
{
	static uint8_t merged[sizeof(struct virtio_blk_outhdr) + 2 * sizeof(ranges[0])];

	range(0, 100, 8, 0);
	range(1, 200, 16, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	head(VIRTIO_BLK_T_WRITE_ZEROES, 0);
	memcpy(merged, &header, HEADER_LEN);
	memcpy(merged + HEADER_LEN, ranges, 2 * sizeof(ranges[0]));
	chain();
	out(merged, 21);
	out(merged + 21, 20);
	out(merged + 41, sizeof(merged) - 41);
	in(&status, 1);
	expect_go(BLK_WRITE_ZEROES);
	ck_assert_uint_eq(req.num_ranges, 2);
	ck_assert_uint_eq(req.ranges[0].sector, 100);
	ck_assert_uint_eq(req.ranges[1].sector, 200);
	ck_assert_uint_eq(req.ranges[1].num_sectors, 16);
	ck_assert_uint_eq(req.ranges[1].flags, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	ck_assert_uint_eq(req.data_bytes, 24 * SECTOR);
}
END_TEST

/* --- wrong layouts --- */

START_TEST(header_too_short)
{
	size_t len = (size_t)_i;

	head(VIRTIO_BLK_T_FLUSH, 0);
	chain();
	if (len)
		out(&header, len);
	in(&status, 1);
	expect_malformed();
	ck_assert_ptr_eq(req.status_at, &status); /* the driver is told */
}
END_TEST

START_TEST(status_missing)
{
	head(VIRTIO_BLK_T_OUT, 0);
	out(data, SECTOR);
	expect_malformed();
	ck_assert_ptr_null(req.status_at);
}
END_TEST

START_TEST(empty_chain)
{
	chain();
	expect_malformed();
	ck_assert_ptr_null(req.status_at);
}
END_TEST

START_TEST(write_with_writable_data)
{
	head(VIRTIO_BLK_T_OUT, 0);
	if (_i)
		out(data, SECTOR);
	in(data + SECTOR, SECTOR);
	in(&status, 1);
	expect_malformed();
}
END_TEST

START_TEST(read_with_readable_data)
{
	head(VIRTIO_BLK_T_IN, 0);
	out(data, SECTOR);
	if (_i)
		in(data + SECTOR, SECTOR);
	in(&status, 1);
	expect_malformed();
}
END_TEST

START_TEST(ranges_with_writable_data)
{
	range(0, 0, 8, 0);
	head(VIRTIO_BLK_T_DISCARD, 0);
	out(ranges, sizeof(ranges[0]));
	in(data, 16);
	in(&status, 1);
	expect_malformed();
}
END_TEST

START_TEST(data_of_no_whole_sectors)
{
	static const size_t lens[] = {1, 511, 513, 3 * SECTOR - 1};

	make_read(0, lens[_i]);
	expect_malformed();
	setup();
	make_write(0, lens[_i]);
	expect_malformed();
}
END_TEST

START_TEST(data_of_no_whole_blocks)
{
	limits.block_mask = 4095;
	make_read(8, 8 * SECTOR);
	expect_go(BLK_READ);
	make_read(4, 8 * SECTOR);
	expect_malformed();
	setup();
	limits.block_mask = 4095;
	make_write(8, 4 * SECTOR);
	expect_malformed();
}
END_TEST

START_TEST(bad_chain_is_answered_in_its_last_byte)
{
	make_read(0, SECTOR);
	req.chain.error = VQ_CHAIN_UNMAPPED;
	req.chain.last_byte = &status;
	expect_done(VIRTIO_BLK_S_IOERR, BLK_CAUSE_BAD_CHAIN);
	ck_assert_ptr_eq(req.status_at, &status);
}
END_TEST

START_TEST(bad_chain_without_a_last_byte)
{
	make_read(0, SECTOR);
	req.chain.error = VQ_CHAIN_LOOP;
	req.chain.last_byte = NULL;
	expect_done(VIRTIO_BLK_S_IOERR, BLK_CAUSE_BAD_CHAIN);
	ck_assert_ptr_null(req.status_at);
}
END_TEST

static void add_types(TCase *types)
{
	tcase_add_test(types, read_names_its_buffers_and_place);
	tcase_add_test(types, write_names_its_buffers_and_place);
	tcase_add_test(types, write_through_is_of_the_limits);
	tcase_add_test(types, flush_goes_to_the_sync_stage);
	tcase_add_test(types, flush_ignores_its_sector);
	tcase_add_loop_test(types, flush_has_no_data, 0, 2);
	tcase_add_test(types, flush_is_served_on_a_read_only_disk);
	tcase_add_loop_test(types, get_id_fills_what_there_is_room_for, 0, 7);
	tcase_add_test(types, get_id_fills_split_buffers);
	tcase_add_loop_test(types, unknown_types_are_unsupported, 0, 13);
	tcase_add_loop_test(types, what_was_not_negotiated_is_unsupported, 0, 2);
}

static void add_layouts(TCase *framing, TCase *wrong)
{
	tcase_add_loop_test(framing, header_in_pieces, 1, 16);
	tcase_add_test(framing, header_in_sixteen_single_bytes);
	tcase_add_test(framing, header_merged_with_the_data_to_write);
	tcase_add_test(framing, header_split_with_its_end_in_the_data);
	tcase_add_test(framing, status_merged_with_the_data_read);
	tcase_add_test(framing, data_in_odd_pieces);
	tcase_add_test(framing, ranges_in_pieces_and_merged_with_the_header);
	tcase_add_loop_test(wrong, header_too_short, 0, 16);
	tcase_add_test(wrong, status_missing);
	tcase_add_test(wrong, empty_chain);
	tcase_add_loop_test(wrong, write_with_writable_data, 0, 2);
	tcase_add_loop_test(wrong, read_with_readable_data, 0, 2);
	tcase_add_test(wrong, ranges_with_writable_data);
	tcase_add_loop_test(wrong, data_of_no_whole_sectors, 0, 4);
	tcase_add_test(wrong, data_of_no_whole_blocks);
	tcase_add_test(wrong, bad_chain_is_answered_in_its_last_byte);
	tcase_add_test(wrong, bad_chain_without_a_last_byte);
}

int main(void)
{
	Suite *suite = suite_create("blk_request");

	add_types(group(suite, "types"));
	add_layouts(group(suite, "framing"), group(suite, "wrong layouts"));
	return run_suite(suite);
}
