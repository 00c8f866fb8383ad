/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_trouble.c - when the storage below fails (no space left, a file cut short, a device
 * with errors) the guest is told, it is counted by cause, and the daemon goes on.
 * Needs root: it mounts a small tmpfs where nobody else sees it, and makes loop devices.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/protocol/blk_driver.h"
#include "tests/protocol/loop_device.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (16u << 20)
#define SECTORS     (IMAGE_BYTES / SECTOR)
#define PIECE       (256u << 10)
#define SMALL       "size=4M"

static struct disk disk;

static void start(const char *options)
{
	blkd_start(options);
	disk_open(&disk, BLKD_SOCKET, 0);
}

static void stop(void)
{
	disk_close(&disk);
	blkd_stop();
}

/* still_works - @sector, which is there, is written and read. */
static void still_works(uint64_t sector)
{
	disk_fill(&disk, 5, 4096);
	ck_assert_uint_eq(disk_write(&disk, sector, 4096), VIRTIO_BLK_S_OK);
	memset(disk.data, 0, 4096);
	ck_assert_uint_eq(disk_read(&disk, sector, 4096), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 5, 4096));
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
}

/* small_mount - a file system of 4 MiB at "small", in a mount namespace of this test. */
static bool small_mount(void)
{
	return (!mkdir("small", 0700) || errno == EEXIST) && !unshare(CLONE_NEWNS) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", "small", "tmpfs", 0, SMALL);
}

static const char *const ways[] = {"", "--direct=off", "--cache=writethrough"};

START_TEST(no_space_left)
{
	struct disk_range all = {0, SECTORS / 2, 0};
	char options[128];
	unsigned i, failed = 0;

	ck_assert(small_mount());
	make_image("small/disk.img", IMAGE_BYTES);
	snprintf(options, sizeof(options), "--blk-file=small/disk.img %s", ways[_i]);
	start(options);
	disk_fill(&disk, 1, PIECE);
	for (i = 0; i < IMAGE_BYTES / PIECE / 2; i++) {
		uint8_t status = disk_write(&disk, i * (PIECE / SECTOR), PIECE);

		ck_assert(status == VIRTIO_BLK_S_OK || status == VIRTIO_BLK_S_IOERR);
		failed += status == VIRTIO_BLK_S_IOERR;
	}
	ck_assert_uint_gt(failed, 10); /* 8 MiB do not fit 4 */
	ck_assert_uint_lt(failed, 24);
	ck_assert_uint_eq(blkd_stat("errors/no_space"), failed);
	ck_assert_uint_eq(blkd_stat("errors/io"), 0);
	/* What was acknowledged is there. */
	ck_assert_uint_eq(disk_read(&disk, 0, PIECE), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 1, PIECE));
	/* tmpfs cannot zero a range without space either. */
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES,
				      &(struct disk_range){SECTORS - 4096, 4096, 0}, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blkd_stat("errors/no_space"), failed + 1);
	/* Space comes back, and so does the disk. */
	ck_assert_uint_eq(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, &all, 1), VIRTIO_BLK_S_OK);
	still_works(SECTORS - 8);
	stop();
}
END_TEST

START_TEST(file_cut_short)
{
	static const uint32_t cuts[] = {IMAGE_BYTES / 2, IMAGE_BYTES / 2 + 512,
					IMAGE_BYTES / 2 + 100};
	uint32_t cut = cuts[_i % 3];
	uint64_t errors = 0;
	struct fe_buf odd;

	make_image(IMAGE, IMAGE_BYTES);
	start(_i < 3 ? "--blk-file=" IMAGE : "--blk-file=" IMAGE " --direct=off");
	disk_fill(&disk, 2, PIECE);
	ck_assert_uint_eq(disk_write(&disk, SECTORS / 2, PIECE), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(truncate(IMAGE, cut), 0);
	ck_assert_uint_eq(disk_read(&disk, SECTORS / 2 + 8, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk.used_bytes[0], 1);
	ck_assert_uint_eq(blkd_stat("errors/truncated"), ++errors);
	/* One that begins in what is left. */
	ck_assert_uint_eq(disk_read(&disk, SECTORS / 2 - 8, 8192), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blkd_stat("errors/truncated"), ++errors);
	odd = disk_buf(&disk, 1, 8192);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_IN, SECTORS / 2 - 8, &odd, 1, true),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blkd_stat("errors/truncated"), ++errors);
	ck_assert_uint_eq(blkd_stat("errors/io"), 0);
	still_works(0);
	still_works(SECTORS / 2 - 8);
	stop();
}
END_TEST

/* The device is as long as ever, its last half cannot be read or written. */
START_TEST(errors_of_the_device)
{
	char loop[32], options[128];
	uint64_t errors;
	int loop_fd;

	make_image("backing.img", IMAGE_BYTES);
	loop_fd = loop_device("backing.img", 512, loop, sizeof(loop));
	ck_assert_int_ge(loop_fd, 0);
	snprintf(options, sizeof(options), "--blk-file=%s", loop);
	start(options);
	ck_assert_uint_eq(disk_read(&disk, SECTORS / 2 + 64, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(truncate("backing.img", IMAGE_BYTES / 2), 0);
	ck_assert_uint_eq(disk_read(&disk, SECTORS / 2 + 64, 4096), VIRTIO_BLK_S_IOERR);
	errors = blkd_stat("errors/io");
	ck_assert_uint_eq(errors, 1);
	ck_assert_uint_eq(disk_read(&disk, SECTORS - 8, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blkd_stat("errors/io"), 2);
	still_works(0);
	stop();
	close(loop_fd);
}
END_TEST

/* The other disk of the daemon notices nothing. */
START_TEST(trouble_of_one_disk_is_its_own)
{
	static struct disk other;
	unsigned i;

	make_image("a.img", IMAGE_BYTES);
	make_image("b.img", IMAGE_BYTES);
	blkd_start("--disk=socket=a.sock,file=a.img --disk=socket=b.sock,file=b.img");
	disk_open(&disk, "a.sock", 0);
	disk_open(&other, "b.sock", 0);
	ck_assert_int_eq(truncate("a.img", 0), 0);
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(disk_read(&disk, 8, 4096), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	}
	disk_close(&other);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_trouble");
	TCase *tcase = tcase_create("trouble");

	if (geteuid() || !loop_can()) {
		puts("root and loop devices are needed");
		return SKIPPED;
	}
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, no_space_left, 0, 3);
	tcase_add_loop_test(tcase, file_cut_short, 0, 6);
	tcase_add_test(tcase, errors_of_the_device);
	tcase_add_test(tcase, trouble_of_one_disk_is_its_own);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
