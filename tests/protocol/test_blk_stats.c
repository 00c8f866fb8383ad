/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_stats.c - the control methods: stats tell what was sent and why requests failed, resize
 * takes over a grown image. The front-end and ringsidectl against the real daemon.
 */
#include <endian.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (8u << 20)
#define SECTORS     (IMAGE_BYTES / SECTOR)

static struct disk disk;

static void start(const char *options, uint64_t without)
{
	make_image(IMAGE, IMAGE_BYTES);
	blkd_start(options);
	disk_open(&disk, BLKD_SOCKET, without);
}

static void stop(void)
{
	disk_close(&disk);
	blkd_stop();
}

START_TEST(requests_are_counted_by_type)
{
	static const struct disk_range ranges[] = {{0, 8, 0}, {64, 16, 0}};
	static const struct {
		const char *key;
		uint64_t value;
	} cases[] = {
		{"requests/read/requests", 5},
		{"requests/read/bytes", 5 * 4096},
		{"requests/write/requests", 3},
		{"requests/write/bytes", 3 * 8192},
		{"requests/flush/requests", 2},
		{"requests/flush/bytes", 0},
		{"requests/discard/requests", 1},
		{"requests/discard/bytes", 24 * SECTOR},
		{"requests/write_zeroes/requests", 1},
		{"requests/write_zeroes/bytes", 24 * SECTOR},
		{"requests/get_id/requests", 1},
		{"ring/chains", 13},
		{"ring/ring_errors", 0},
	};
	struct fe_buf id;
	unsigned i;

	start(_i ? "--blk-file=ram:8M" : "--blk-file=" IMAGE, 0);
	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(disk_read(&disk, 8 * i, 4096), VIRTIO_BLK_S_OK);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(disk_write(&disk, 16 * i, 8192), VIRTIO_BLK_S_OK);
	for (i = 0; i < 2; i++)
		ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, ranges, 2), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 2),
			  VIRTIO_BLK_S_OK);
	id = disk_buf(&disk, 0, VIRTIO_BLK_ID_BYTES);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_GET_ID, 0, &id, 1, true), VIRTIO_BLK_S_OK);
	/* The last requests may still be on their way into the counters. */
	wait_for(blkd_stat("requests/get_id/requests") == 1);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(blkd_stat(cases[i].key) == cases[i].value, "%s is %llu, not %llu",
			      cases[i].key, (unsigned long long)blkd_stat(cases[i].key),
			      (unsigned long long)cases[i].value);
	stop();
}
END_TEST

START_TEST(latencies_are_measured)
{
	static const char *const keys[] = {"mean_ns", "p50_ns", "p99_ns", "p999_ns", "max_ns"};
	uint64_t longest;
	char key[64];
	unsigned i;

	start(_i ? "--blk-file=ram:8M" : "--blk-file=" IMAGE, 0);
	for (i = 0; i < 50; i++)
		ck_assert_uint_eq(disk_write(&disk, 8 * i, 4096), VIRTIO_BLK_S_OK);
	wait_for(blkd_stat("requests/write/requests") == 50);
	longest = blkd_stat("requests/write/max_ns");
	ck_assert_uint_lt(longest, 10000000000ull);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		snprintf(key, sizeof(key), "requests/write/%s", keys[i]);
		ck_assert_msg(blkd_stat(key) > 0, "%s is 0", key);
		ck_assert_msg(blkd_stat(key) <= longest + longest / 8, "%s is above the max", key);
	}
	stop();
}
END_TEST

START_TEST(errors_are_counted_by_cause)
{
	static const struct {
		const char *key;
		uint64_t value;
	} cases[] = {
		{"errors/out_of_range", 2},
		{"errors/unsupported", 3},
		{"errors/malformed", 2},
		{"errors/bad_chain", 1},
		{"errors/read_only", 0},
		{"errors/no_space", 0},
		{"errors/truncated", 0},
		{"errors/io", 0},
		{"ring/bad_chains/unmapped address", 1},
	};
	struct disk_range range = {0, 8, 0};
	struct fe_buf buf;
	unsigned i;

	start("--blk-file=" IMAGE, VU_BIT(VIRTIO_BLK_F_DISCARD));
	ck_assert_uint_eq(disk_read(&disk, SECTORS, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_write(&disk, UINT64_MAX, 4096), VIRTIO_BLK_S_IOERR);
	buf = disk_buf(&disk, 0, SECTOR);
	ck_assert_uint_eq(disk_do(&disk, 99, 0, &buf, 1, true), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_UNSUPP);
	range.flags = 8;
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_write(&disk, 0, 511), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_read(&disk, 0, 1), VIRTIO_BLK_S_IOERR);
	buf.gpa = DISK_GPA - 4096;
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_IN, 0, &buf, 1, true), VIRTIO_BLK_S_IOERR);
	wait_for(blkd_stat("errors/bad_chain") == 1);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(blkd_stat(cases[i].key) == cases[i].value, "%s is %llu, not %llu",
			      cases[i].key, (unsigned long long)blkd_stat(cases[i].key),
			      (unsigned long long)cases[i].value);
	stop();
}
END_TEST

START_TEST(counters_outlive_connections)
{
	start("--blk-file=" IMAGE, 0);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	disk_close(&disk);
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	wait_for(blkd_stat("requests/read/requests") == 2);
	stop();
}
END_TEST

START_TEST(stats_without_a_guest)
{
	json_t *stats, *first;

	make_image(IMAGE, IMAGE_BYTES);
	blkd_start("--disk=socket=disk.sock,file=" IMAGE " --disk=socket=b.sock,file=null:1G");
	stats = blkd_call("stats");
	ck_assert_uint_eq(json_array_size(json_object_get(stats, "disks")), 2);
	first = json_array_get(json_object_get(stats, "disks"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "blk0");
	ck_assert_str_eq(json_string_value(json_object_get(first, "file")), IMAGE);
	ck_assert(json_is_false(json_object_get(first, "connected")));
	ck_assert_int_eq(json_integer_value(json_object_get(first, "capacity_bytes")), IMAGE_BYTES);
	json_decref(stats);
	ck_assert_ptr_null(blkd_call("stats disk=blk0")); /* takes no parameter */
	ck_assert_ptr_null(blkd_call("no-such"));
	blkd_stop();
}
END_TEST

/* --- resize --- */

START_TEST(a_grown_image_is_taken_over)
{
	json_t *result;

	start("--blk-file=" IMAGE, 0);
	ck_assert_int_eq(fe_open_channel(&disk.fe, NULL, NULL), 0);
	ck_assert_uint_eq(disk_read(&disk, SECTORS, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(truncate(IMAGE, 2 * IMAGE_BYTES), 0);
	ck_assert_uint_eq(disk_read(&disk, SECTORS, 4096), VIRTIO_BLK_S_IOERR); /* not yet */

	result = blkd_call("resize");
	ck_assert_int_eq(json_integer_value(json_object_get(result, "capacity_bytes")),
			 2 * IMAGE_BYTES);
	json_decref(result);
	ck_assert_int_eq(fe_channel_serve(&disk.fe, 5000), 1);
	ck_assert_uint_eq(disk.fe.config_changes, 1);
	ck_assert_int_eq(fe_get_config(&disk.fe, 0, 8, &disk.config.capacity), 0);
	ck_assert_uint_eq(le64toh(disk.config.capacity), 2 * SECTORS);

	disk_fill(&disk, 4, 8192);
	ck_assert_uint_eq(disk_write(&disk, 2 * SECTORS - 16, 8192), VIRTIO_BLK_S_OK);
	memset(disk.data, 0, 8192);
	ck_assert_uint_eq(disk_read(&disk, 2 * SECTORS - 16, 8192), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 4, 8192));
	ck_assert_uint_eq(disk_read(&disk, 2 * SECTORS, 4096), VIRTIO_BLK_S_IOERR);
	fe_channel_close(&disk.fe);
	stop();
}
END_TEST

START_TEST(resize_without_a_channel_or_a_guest)
{
	start("--blk-file=" IMAGE, 0);
	ck_assert_int_eq(truncate(IMAGE, 2 * IMAGE_BYTES), 0);
	json_decref(blkd_call("resize disk=blk0"));
	ck_assert_uint_eq(disk_read(&disk, 2 * SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	disk_close(&disk);
	ck_assert_int_eq(truncate(IMAGE, 3 * IMAGE_BYTES), 0);
	json_decref(blkd_call("resize disk=blk0"));
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(le64toh(disk.config.capacity), 3 * SECTORS);
	ck_assert_uint_eq(disk_read(&disk, 3 * SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(an_image_cannot_shrink)
{
	start("--blk-file=" IMAGE, 0);
	ck_assert_int_eq(truncate(IMAGE, IMAGE_BYTES / 2), 0);
	ck_assert_ptr_null(blkd_call("resize"));
	ck_assert_int_eq(truncate(IMAGE, IMAGE_BYTES + 100), 0);
	ck_assert_ptr_null(blkd_call("resize"));
	ck_assert_ptr_null(blkd_call("resize disk=blk7"));
	ck_assert_int_eq(truncate(IMAGE, IMAGE_BYTES), 0);
	json_decref(blkd_call("resize")); /* the same size is no mistake */
	ck_assert_uint_eq(disk_read(&disk, SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(memory_disks_have_a_fixed_size)
{
	blkd_start(_i ? "--blk-file=null:8M" : "--blk-file=ram:8M");
	ck_assert_ptr_null(blkd_call("resize"));
	blkd_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_stats");
	TCase *stats = tcase_create("stats"), *resize = tcase_create("resize");

	tcase_set_timeout(stats, 20);
	tcase_add_loop_test(stats, requests_are_counted_by_type, 0, 2);
	tcase_add_loop_test(stats, latencies_are_measured, 0, 2);
	tcase_add_test(stats, errors_are_counted_by_cause);
	tcase_add_test(stats, counters_outlive_connections);
	tcase_add_test(stats, stats_without_a_guest);
	suite_add_tcase(suite, stats);
	tcase_set_timeout(resize, 20);
	tcase_add_test(resize, a_grown_image_is_taken_over);
	tcase_add_test(resize, resize_without_a_channel_or_a_guest);
	tcase_add_test(resize, an_image_cannot_shrink);
	tcase_add_loop_test(resize, memory_disks_have_a_fixed_size, 0, 2);
	suite_add_tcase(suite, resize);
	return run_in_scratch(suite);
}
