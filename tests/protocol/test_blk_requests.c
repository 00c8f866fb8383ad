/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_requests.c - a disk as a guest meets it: configuration, reading, writing, flushing,
 * identity, cache mode, a read-only disk. The front-end against the real daemon.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (32ull << 20)
#define SECTORS     (IMAGE_BYTES / SECTOR)

static struct disk disk;

static void start(const char *options)
{
	char all[256];

	make_image(IMAGE, IMAGE_BYTES);
	snprintf(all, sizeof(all), "--blk-file=" IMAGE " %s", options);
	blkd_start(all);
	disk_open(&disk, BLKD_SOCKET, 0);
}

static void stop(void)
{
	disk_close(&disk);
	blkd_stop();
}

static bool offered(unsigned bit)
{
	return disk.fe.offered & VU_BIT(bit);
}

START_TEST(configuration_of_a_file)
{
	const struct virtio_blk_config *config = &disk.config;
	uint32_t block, physical;

	start("--num-queues=7");
	ck_assert_uint_eq(le64toh(config->capacity), SECTORS);
	block = le32toh(config->blk_size);
	ck_assert(block == 512 || block == 4096);
	physical = block << config->physical_block_exp;
	ck_assert_uint_ge(physical, 512);
	ck_assert_uint_le(physical, 65536);
	ck_assert_uint_eq(le16toh(config->min_io_size) * block, physical);
	ck_assert_uint_eq(config->alignment_offset, 0);
	ck_assert_uint_gt(le32toh(config->size_max), 1 << 20);
	ck_assert_uint_ge(le32toh(config->seg_max), 126);
	ck_assert_uint_eq(config->wce, 1);
	ck_assert_uint_eq(le16toh(config->num_queues), 7);
	ck_assert_uint_ge(le32toh(config->max_discard_sectors), SECTORS);
	ck_assert_uint_ge(le32toh(config->max_discard_seg), 32);
	ck_assert_uint_eq(le32toh(config->discard_sector_alignment) * SECTOR, physical);
	ck_assert_uint_ge(le32toh(config->max_write_zeroes_sectors), SECTORS);
	ck_assert_uint_ge(le32toh(config->max_write_zeroes_seg), 32);
	ck_assert_uint_eq(config->write_zeroes_may_unmap, 1);
	stop();
}
END_TEST

START_TEST(features_of_a_file)
{
	static const unsigned bits[] = {
		VIRTIO_F_VERSION_1,     VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX,
		VIRTIO_BLK_F_SIZE_MAX,  VIRTIO_BLK_F_SEG_MAX,        VIRTIO_BLK_F_BLK_SIZE,
		VIRTIO_BLK_F_TOPOLOGY,  VIRTIO_BLK_F_FLUSH,          VIRTIO_BLK_F_CONFIG_WCE,
		VIRTIO_BLK_F_MQ,        VIRTIO_BLK_F_DISCARD,        VIRTIO_BLK_F_WRITE_ZEROES,
		VU_F_PROTOCOL_FEATURES,
	};
	unsigned i;

	start("");
	for (i = 0; i < ARRAY_SIZE(bits); i++)
		ck_assert_msg(offered(bits[i]), "feature %u is not offered", bits[i]);
	ck_assert(!offered(VIRTIO_BLK_F_RO));
	ck_assert(!offered(VIRTIO_BLK_F_GEOMETRY)); /* never known */
	stop();
}
END_TEST

START_TEST(reads_what_was_written)
{
	static const uint32_t lens[] = {512,   1024,         4096,    4608,
					65536, 262144 + 512, 1 << 20, 4 << 20};
	uint32_t len = lens[_i];
	uint8_t *in_file = malloc(len);

	start("");
	disk_fill(&disk, 1, len);
	ck_assert_uint_eq(disk_write(&disk, 24, len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk.used_bytes[0], 1); /* the status */
	memset(disk.data, 0, len);
	ck_assert_uint_eq(disk_read(&disk, 24, len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk.used_bytes[0], len + 1);
	ck_assert(disk_filled(&disk, 1, len));
	image_read(IMAGE, 24 * SECTOR, in_file, len);
	ck_assert_mem_eq(in_file, disk.data, len);
	free(in_file);
	stop();
}
END_TEST

/* Buffers that direct I/O cannot take (address or length) go through the bounce pool. */
START_TEST(any_buffers_do)
{
	static const struct {
		uint32_t at[4], len[4];
		unsigned num;
		bool bounced;
	} cases[] = {
		{{0, 8192}, {4096, 4096}, 2, false},
		{{0, 5120, 20480}, {512, 1024, 2560}, 3, false},
		{{1}, {4096}, 1, true},
		{{3, 10001, 20000, 30007}, {1, 510, 513, 3072}, 4, true},
		{{0, 8192}, {100, 3996}, 2, true},
		{{7}, {3 << 20}, 1, true}, /* more than one bounce buffer */
		{{7, 4 << 20}, {(1 << 20) - 3, 3 + (1 << 20)}, 2, true},
	};
	struct fe_buf bufs[4];
	unsigned i, num = cases[_i].num;
	uint32_t total = 0;
	uint8_t *expected;

	start("");
	for (i = 0; i < num; i++) {
		bufs[i] = disk_buf(&disk, cases[_i].at[i], cases[_i].len[i]);
		total += bufs[i].len;
	}
	expected = malloc(total);
	pattern(expected, 5, total);
	for (i = 0, total = 0; i < num; total += bufs[i++].len)
		memcpy(disk.data + cases[_i].at[i], expected + total, bufs[i].len);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_OUT, 8, bufs, num, false), VIRTIO_BLK_S_OK);
	memset(disk.data, 0xcc, DISK_DATA_BYTES);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_IN, 8, bufs, num, true), VIRTIO_BLK_S_OK);
	for (i = 0, total = 0; i < num; total += bufs[i++].len) {
		ck_assert_mem_eq(disk.data + cases[_i].at[i], expected + total, bufs[i].len);
		ck_assert_uint_eq(disk.data[cases[_i].at[i] + bufs[i].len], 0xcc);
	}
	image_read(IMAGE, 8 * SECTOR, disk.data, total);
	ck_assert_mem_eq(disk.data, expected, total);
	ck_assert_uint_eq(blkd_stat("bounced"), cases[_i].bounced ? 2 : 0);
	free(expected);
	stop();
}
END_TEST

/* More bounced requests at once than there are bounce buffers: they wait for one. */
START_TEST(bounce_buffers_are_shared)
{
	const uint32_t len = 300 << 10;
	unsigned i, round;

	start("");
	for (round = 0; round < 3; round++) {
		for (i = 0; i < DISK_SLOTS; i++) {
			struct fe_buf buf = disk_buf(&disk, i * (512 << 10) + 1, len);

			pattern(disk.data + i * (512 << 10) + 1, i, len);
			disk_submit(&disk, i, VIRTIO_BLK_T_OUT, i * 1000, &buf, 1, false);
		}
		for (i = 0; i < DISK_SLOTS; i++)
			ck_assert_uint_eq(disk_wait(&disk, i), VIRTIO_BLK_S_OK);
	}
	for (i = 0; i < DISK_SLOTS; i++) {
		ck_assert_uint_eq(disk_read(&disk, i * 1000, len), VIRTIO_BLK_S_OK);
		ck_assert(disk_filled(&disk, i, len));
	}
	stop();
}
END_TEST

START_TEST(nothing_beyond_the_end)
{
	start("");
	disk_fill(&disk, 2, 8 * SECTOR);
	ck_assert_uint_eq(disk_write(&disk, SECTORS - 8, 8 * SECTOR), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_write(&disk, SECTORS - 7, 8 * SECTOR), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_write(&disk, SECTORS, SECTOR), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_read(&disk, SECTORS, SECTOR), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk.used_bytes[0], 1);
	ck_assert_uint_eq(disk_read(&disk, UINT64_MAX, SECTOR), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_read(&disk, 1ull << 55, SECTOR), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_read(&disk, SECTORS - 8, 8 * SECTOR), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 2, 8 * SECTOR));
	stop();
}
END_TEST

START_TEST(identity)
{
	static const char *const ids[] = {"", "disk-1", "twenty-bytes-is-full"};
	struct fe_buf buf;
	char expected[21] = "", option[64] = "";

	if (ids[_i][0])
		snprintf(option, sizeof(option), "--serial=%s", ids[_i]);
	start(option);
	buf = disk_buf(&disk, 0, VIRTIO_BLK_ID_BYTES);
	memset(disk.data, 0xff, 32);
	snprintf(expected, sizeof(expected), "%s", ids[_i]);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_GET_ID, 0, &buf, 1, true), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(disk.data, expected, VIRTIO_BLK_ID_BYTES);
	ck_assert_uint_eq(disk.data[VIRTIO_BLK_ID_BYTES], 0xff);
	ck_assert_uint_eq(disk.used_bytes[0], VIRTIO_BLK_ID_BYTES + 1);
	stop();
}
END_TEST

START_TEST(flush_and_unknown_requests)
{
	struct fe_buf buf;

	start("");
	buf = disk_buf(&disk, 0, SECTOR);
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_do(&disk, 14, 0, &buf, 1, false), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_do(&disk, UINT32_MAX, 0, &buf, 1, true), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(read_only_disk_is_left_alone)
{
	struct disk_range range = {0, 64, 0};
	uint8_t before[64 * SECTOR], after[64 * SECTOR];
	int kind = _i;

	make_image(IMAGE, IMAGE_BYTES);
	pattern(before, 3, sizeof(before));
	image_write(IMAGE, 0, before, sizeof(before));
	blkd_start(kind ? "--blk-file=" IMAGE " --read-only --direct=off"
			: "--blk-file=" IMAGE " --read-only");
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert(offered(VIRTIO_BLK_F_RO));
	ck_assert(!offered(VIRTIO_BLK_F_DISCARD));
	ck_assert(!offered(VIRTIO_BLK_F_WRITE_ZEROES));
	ck_assert_uint_eq(disk_write(&disk, 0, SECTOR), VIRTIO_BLK_S_IOERR);
	/* Not offered, so not negotiated; refused whatever the reason. */
	ck_assert_uint_ne(disk_ranges(&disk, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_ne(disk_ranges(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_flush(&disk), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_read(&disk, 0, sizeof(before)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(disk.data, before, sizeof(before));
	ck_assert_uint_eq(blkd_stat("errors/read_only"), 1);
	stop();
	image_read(IMAGE, 0, after, sizeof(after));
	ck_assert_mem_eq(before, after, sizeof(after));
}
END_TEST

/* --- the cache mode (5.2.5) --- */

static bool writes_back(void)
{
	json_t *stats = blkd_call("stats");
	const char *mode = json_string_value(
		json_object_get(json_array_get(json_object_get(stats, "disks"), 0), "cache"));
	bool back = mode && !strcmp(mode, "writeback");

	json_decref(stats);
	return back;
}

static uint8_t wce_now(void)
{
	uint8_t wce = 0xff;

	ck_assert_int_eq(fe_get_config(&disk.fe, 32, 1, &wce), 0);
	return wce;
}

START_TEST(cache_mode_is_switched)
{
	uint8_t off = 0, on = 1;

	start("");
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &off), 0);
	ck_assert_uint_eq(wce_now(), 0);
	ck_assert(!writes_back());
	ck_assert_uint_eq(disk_write(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &on), 0);
	ck_assert_uint_eq(wce_now(), 1);
	ck_assert(writes_back());
	ck_assert_uint_eq(disk_write(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

/* QEMU writes back the whole space as it read it. */
START_TEST(cache_mode_in_a_whole_write)
{
	start("--cache=writethrough");
	ck_assert_uint_eq(disk.config.wce, 0);
	disk.config.wce = 1;
	ck_assert_int_eq(fe_set_config(&disk.fe, 0, 60, 0, &disk.config), 0);
	ck_assert(writes_back());
	ck_assert_int_eq(fe_set_config(&disk.fe, 0, 60, 1, &disk.config), 0); /* migration */
	stop();
}
END_TEST

START_TEST(other_fields_cannot_be_written)
{
	uint8_t two = 2, one = 1;

	start("");
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &two), -EREMOTEIO);
	ck_assert_int_eq(fe_set_config(&disk.fe, 0, 1, 0, &one), -EREMOTEIO);
	disk.config.wce = 0;
	disk.config.capacity++;
	ck_assert_int_eq(fe_set_config(&disk.fe, 0, 60, 0, &disk.config), -EREMOTEIO);
	ck_assert_uint_eq(wce_now(), 1); /* nothing of it */
	ck_assert_uint_eq(disk_write(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(cache_mode_starts_anew_with_each_guest)
{
	uint8_t off = 0;

	start("");
	ck_assert_int_eq(fe_set_config(&disk.fe, 32, 1, 0, &off), 0);
	disk_close(&disk);
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(disk.config.wce, 1);
	ck_assert(writes_back());
	stop();
}
END_TEST

/* --- disks side by side --- */

START_TEST(disks_do_not_mix)
{
	static struct disk other;

	make_image("a.img", IMAGE_BYTES);
	make_image("b.img", IMAGE_BYTES / 2);
	blkd_start("--disk=socket=a.sock,file=a.img,serial=A "
		   "--disk=socket=b.sock,file=b.img,serial=B --threads=2");
	disk_open(&disk, "a.sock", 0);
	disk_open(&other, "b.sock", 0);
	ck_assert_uint_eq(le64toh(other.config.capacity), SECTORS / 2);
	disk_fill(&disk, 1, 4096);
	disk_fill(&other, 2, 4096);
	ck_assert_uint_eq(disk_write(&disk, 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_read(&disk, 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 1, 4096));
	disk_close(&disk);
	ck_assert_uint_eq(disk_read(&other, 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&other, 2, 4096));
	disk_close(&other);
	blkd_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_requests");
	TCase *tcase = tcase_create("requests"), *cache = tcase_create("cache mode");

	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, configuration_of_a_file);
	tcase_add_test(tcase, features_of_a_file);
	tcase_add_loop_test(tcase, reads_what_was_written, 0, 8);
	tcase_add_loop_test(tcase, any_buffers_do, 0, 7);
	tcase_add_test(tcase, bounce_buffers_are_shared);
	tcase_add_test(tcase, nothing_beyond_the_end);
	tcase_add_loop_test(tcase, identity, 0, 3);
	tcase_add_test(tcase, flush_and_unknown_requests);
	tcase_add_loop_test(tcase, read_only_disk_is_left_alone, 0, 2);
	tcase_add_test(tcase, disks_do_not_mix);
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(cache, 20);
	tcase_add_test(cache, cache_mode_is_switched);
	tcase_add_test(cache, cache_mode_in_a_whole_write);
	tcase_add_test(cache, other_fields_cannot_be_written);
	tcase_add_test(cache, cache_mode_starts_anew_with_each_guest);
	suite_add_tcase(suite, cache);
	return run_in_scratch(suite);
}
