/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_durability.c - what is acknowledged as durable has been flushed to the disk below, which
 * is a loop device of the test's own with a volatile cache, so that every flush is counted.
 * Needs root and loop devices.
 */
#include <endian.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"
#include "tests/protocol/loop_device.h"

#define BACKING       "backing.img"
#define BACKING_BYTES (16u << 20)
#define WRITES        10

static struct disk disk;
static char loop[32];
static int loop_fd;

static void start(const char *options, uint64_t without)
{
	char all[256];

	make_image(BACKING, BACKING_BYTES);
	loop_fd = loop_device(BACKING, 512, loop, sizeof(loop));
	ck_assert_int_ge(loop_fd, 0);
	snprintf(all, sizeof(all), "--blk-file=%s %s", loop, options);
	blkd_start(all);
	disk_open(&disk, BLKD_SOCKET, without);
}

static void stop(void)
{
	disk_close(&disk);
	blkd_stop();
	close(loop_fd);
}

/* flushes_of - how many flushes reached the device while @n of @request were acknowledged. */
static int64_t flushes_of(void (*request)(unsigned i), unsigned n)
{
	int64_t before = disk_flushes(loop), after;
	unsigned i;

	ck_assert_int_ge(before, 0);
	for (i = 0; i < n; i++) {
		int64_t at = disk_flushes(loop);

		request(i);
		after = disk_flushes(loop);
		if (after > at)
			continue;
		return after - before; /* one was acknowledged without */
	}
	return disk_flushes(loop) - before;
}

static void one_write(unsigned i)
{
	disk_fill(&disk, i, 8192);
	ck_assert_uint_eq(disk_write(&disk, 64 * i, 8192), VIRTIO_BLK_S_OK);
}

static void one_write_and_flush(unsigned i)
{
	one_write(i);
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
}

static void one_write_zeroes(unsigned i)
{
	struct disk_range ranges[] = {{64 * i, 8, 0}, {64 * i + 32, 8, 1}};

	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 2),
			  VIRTIO_BLK_S_OK);
}

/* backing_has - what the writes wrote is in the file below the loop device. */
static void backing_has_writes(void)
{
	uint8_t expected[8192], got[8192];
	unsigned i;

	for (i = 0; i < WRITES; i++) {
		pattern(expected, i, sizeof(expected));
		image_read(BACKING, 64 * i * SECTOR, got, sizeof(got));
		ck_assert_mem_eq(got, expected, sizeof(got));
	}
}

static const char *const ways[] = {"--direct=on", "--direct=off"};

START_TEST(flush_reaches_the_disk)
{
	start(ways[_i], 0);
	ck_assert_int_ge(flushes_of(one_write_and_flush, WRITES), WRITES);
	backing_has_writes();
	stop();
}
END_TEST

START_TEST(write_through_reaches_the_disk)
{
	char options[64];

	snprintf(options, sizeof(options), "%s --cache=writethrough", ways[_i]);
	start(options, 0);
	ck_assert_int_ge(flushes_of(one_write, WRITES), WRITES);
	backing_has_writes();
	ck_assert_int_ge(flushes_of(one_write_zeroes, WRITES), WRITES);
	stop();
}
END_TEST

/* 5.2.6.2: a driver that negotiated neither FLUSH nor CONFIG_WCE cannot ask for a flush. */
START_TEST(a_driver_that_cannot_flush_needs_not)
{
	start(ways[_i], VU_BIT(VIRTIO_BLK_F_FLUSH) | VU_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert_int_ge(flushes_of(one_write, WRITES), WRITES);
	stop();
}
END_TEST

START_TEST(the_cache_mode_is_that_of_the_moment)
{
	uint8_t off = 0, on = 1;

	start(ways[_i], 0);
	ck_assert_int_eq(flushes_of(one_write, 1), 0);
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &off), 0);
	ck_assert_int_ge(flushes_of(one_write, WRITES), WRITES);
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &on), 0);
	ck_assert_int_eq(flushes_of(one_write, 1), 0);
	stop();
}
END_TEST

/* Bounced pieces are as durable as the rest. */
START_TEST(bounced_writes_reach_the_disk)
{
	struct fe_buf buf;
	int64_t before;

	start("--direct=on --cache=writethrough", 0);
	buf = disk_buf(&disk, 3, 1 << 20);
	before = disk_flushes(loop);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_OUT, 0, &buf, 1, false), VIRTIO_BLK_S_OK);
	ck_assert_int_ge(disk_flushes(loop) - before, 1);
	image_read(BACKING, 0, disk.data + (2 << 20), 1 << 20);
	ck_assert_mem_eq(disk.data + 3, disk.data + (2 << 20), 1 << 20);
	stop();
}
END_TEST

/* What a real device tells becomes the guest's geometry. */
START_TEST(a_block_device_has_its_own_geometry)
{
	char options[64];

	make_image(BACKING, BACKING_BYTES);
	loop_fd = loop_device(BACKING, 4096, loop, sizeof(loop));
	ck_assert_int_ge(loop_fd, 0);
	snprintf(options, sizeof(options), "--blk-file=%s", loop);
	blkd_start(options);
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(le32toh(disk.config.blk_size), 4096);
	ck_assert_uint_eq(disk.config.physical_block_exp, 0);
	ck_assert_uint_eq(le64toh(disk.config.capacity), BACKING_BYTES / SECTOR);
	ck_assert_uint_eq(disk_write(&disk, 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_write(&disk, 1, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_write(&disk, 8, 512), VIRTIO_BLK_S_IOERR);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_durability");
	TCase *tcase = tcase_create("durability");

	if (!loop_can()) {
		puts("no loop devices here (root, and the loop module, are needed)");
		return SKIPPED;
	}
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, flush_reaches_the_disk, 0, 2);
	tcase_add_loop_test(tcase, write_through_reaches_the_disk, 0, 2);
	tcase_add_loop_test(tcase, a_driver_that_cannot_flush_needs_not, 0, 2);
	tcase_add_loop_test(tcase, the_cache_mode_is_that_of_the_moment, 0, 2);
	tcase_add_test(tcase, bounced_writes_reach_the_disk);
	tcase_add_test(tcase, a_block_device_has_its_own_geometry);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
