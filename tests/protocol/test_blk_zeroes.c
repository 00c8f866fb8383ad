/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_zeroes.c - discard gives space back, write-zeroes reads back as zeroes, and neither
 * touches a byte beside its segments: on a file, in memory, and on a file system that cannot zero
 * ranges by itself. The front-end against the real daemon.
 */
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (8u << 20)
#define SHM_IMAGE   "/dev/shm/ringside-test-zeroes.img"
#define UNMAP       VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

static struct disk disk;
static uint8_t expected[IMAGE_BYTES];

/* A disk full of a pattern, and the same in @expected. */
static void start(const char *options)
{
	blkd_start(options);
	disk_open(&disk, BLKD_SOCKET, 0);
	pattern(expected, 9, IMAGE_BYTES);
	memcpy(disk.data, expected, IMAGE_BYTES);
	ck_assert_uint_eq(disk_write(&disk, 0, IMAGE_BYTES), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
}

static void start_on_file(const char *more)
{
	char options[128];

	snprintf(options, sizeof(options), "--blk-file=" IMAGE " %s", more);
	make_image(IMAGE, IMAGE_BYTES);
	start(options);
}

static void stop(void)
{
	disk_close(&disk);
	blkd_stop();
}

/* check_disk - the guest reads @expected. */
static void check_disk(void)
{
	memset(disk.data, 0x77, IMAGE_BYTES);
	ck_assert_uint_eq(disk_read(&disk, 0, IMAGE_BYTES), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(disk.data, expected, IMAGE_BYTES);
}

static void zeroed(const struct disk_range *ranges, unsigned num)
{
	unsigned i;

	for (i = 0; i < num; i++)
		memset(expected + ranges[i].sector * SECTOR, 0, ranges[i].sectors * SECTOR);
}

/* Edges on and off 4 KiB, one sector, none, neighbours, the ends of the disk. */
static const struct disk_range mixed[] = {
	{0, 1, 0},         {64, 128, UNMAP}, {1001, 17, 0},       {1018, 1, UNMAP},  {2000, 0, 0},
	{3003, 33, UNMAP}, {4096, 2048, 0},  {8192, 4096, UNMAP}, {16383, 1, UNMAP},
};

static const char *const disks[] = {
	"",
	"--direct=off",
	"--cache=writethrough",
};

START_TEST(zeroes_on_a_file)
{
	start_on_file(disks[_i]);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, mixed, ARRAY_SIZE(mixed)),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk.used_bytes[0], 1);
	zeroed(mixed, ARRAY_SIZE(mixed));
	check_disk();
	stop();
}
END_TEST

START_TEST(zeroes_in_memory)
{
	start("--blk-file=ram:8M");
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, mixed, ARRAY_SIZE(mixed)),
			  VIRTIO_BLK_S_OK);
	zeroed(mixed, ARRAY_SIZE(mixed));
	check_disk();
	stop();
}
END_TEST

/* tmpfs cannot zero a range: the daemon writes zeroes itself, in pieces. */
START_TEST(zeroes_where_the_file_system_cannot)
{
	static const struct disk_range large = {3, (4 << 20) / SECTOR + 1, 0};
	struct statfs fs;

	ck_assert_int_eq(statfs("/dev/shm", &fs), 0);
	ck_assert_int_eq(fs.f_type, TMPFS_MAGIC);
	make_image(SHM_IMAGE, IMAGE_BYTES);
	start("--blk-file=" SHM_IMAGE);
	unlink(SHM_IMAGE);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, mixed, ARRAY_SIZE(mixed)),
			  VIRTIO_BLK_S_OK);
	zeroed(mixed, ARRAY_SIZE(mixed));
	check_disk();
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &large, 1),
			  VIRTIO_BLK_S_OK);
	zeroed(&large, 1);
	check_disk();
	stop();
}
END_TEST

START_TEST(zeroes_keep_the_size)
{
	static const struct disk_range end = {IMAGE_BYTES / SECTOR - 16, 16, UNMAP};
	struct stat st;

	start_on_file("");
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &end, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, &(struct disk_range){0, 16, 0},
				      1),
			  VIRTIO_BLK_S_OK);
	ck_assert_int_eq(stat(IMAGE, &st), 0);
	ck_assert_int_eq(st.st_size, IMAGE_BYTES);
	stop();
}
END_TEST

static uint64_t allocated(void)
{
	struct stat st;

	ck_assert_int_eq(stat(IMAGE, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST(discard_gives_space_back)
{
	static const struct disk_range ranges[] = {
		{0, 2048, 0}, /* 1 MiB */
		{4096, 0, 0},
		{8192, 4096, 0}, /* 2 MiB */
	};
	uint64_t before;

	start_on_file(_i ? "--cache=writethrough" : "");
	before = allocated();
	ck_assert_uint_ge(before, IMAGE_BYTES);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, ranges, ARRAY_SIZE(ranges)),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_le(allocated(), before - (3 << 20) + 65536);
	/* What a discarded sector reads as is open; the others hold what they held. */
	ck_assert_uint_eq(disk_read(&disk, 0, IMAGE_BYTES), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(disk.data + (1 << 20), expected + (1 << 20), 3 << 20);
	ck_assert_mem_eq(disk.data + (6 << 20), expected + (6 << 20), 2 << 20);
	stop();
}
END_TEST

START_TEST(unmap_gives_space_back_and_its_absence_does_not)
{
	static const struct disk_range kept = {0, 4096, 0}, given = {4096, 4096, UNMAP};
	uint64_t before;

	start_on_file("");
	before = allocated();
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &kept, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_ge(allocated(), before);
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &given, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_le(allocated(), before - (2 << 20) + 65536);
	stop();
}
END_TEST

/* One wrong segment: refused, and the good ones before it are not carried out either. */
START_TEST(a_wrong_segment_refuses_all)
{
	static const struct {
		uint32_t type;
		struct disk_range bad;
		uint8_t status;
	} cases[] = {
		{VIRTIO_BLK_T_DISCARD, {0, 8, UNMAP}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_DISCARD, {0, 8, 2}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_DISCARD, {IMAGE_BYTES / SECTOR, 1, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {0, UINT32_MAX, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, {0, 8, 4}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {UINT64_MAX - 3, 8, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, {1ull << 55, 8, 0}, VIRTIO_BLK_S_IOERR},
	};
	struct disk_range ranges[] = {{64, 64, 0}, cases[_i].bad};

	start_on_file("");
	ck_assert_uint_eq(disk_ranges(&disk, cases[_i].type, ranges, 2), cases[_i].status);
	check_disk();
	stop();
}
END_TEST

START_TEST(as_many_segments_as_offered)
{
	struct disk_range ranges[33];
	unsigned i;

	start_on_file("");
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct disk_range){i * 400 + 3, 100, i & 1 ? UNMAP : 0};
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 33),
			  VIRTIO_BLK_S_IOERR);
	check_disk();
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 32),
			  VIRTIO_BLK_S_OK);
	zeroed(ranges, 32);
	check_disk();
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_zeroes");
	TCase *tcase = tcase_create("zeroes");
	struct statfs fs;

	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, zeroes_on_a_file, 0, (int)ARRAY_SIZE(disks));
	tcase_add_test(tcase, zeroes_in_memory);
	if (!statfs("/dev/shm", &fs) && fs.f_type == TMPFS_MAGIC)
		tcase_add_test(tcase, zeroes_where_the_file_system_cannot);
	tcase_add_test(tcase, zeroes_keep_the_size);
	tcase_add_loop_test(tcase, discard_gives_space_back, 0, 2);
	tcase_add_test(tcase, unmap_gives_space_back_and_its_absence_does_not);
	tcase_add_loop_test(tcase, a_wrong_segment_refuses_all, 0, 7);
	tcase_add_test(tcase, as_many_segments_as_offered);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
