/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_state.c - the cache mode of a disk: back to its default by a reset, carried to another
 * back-end by a migration, and changed by nothing that is not a state of a disk like this one.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define STATE_BYTES 32
#define WCE_AT      offsetof(struct virtio_blk_config, wce)

static struct fe fe;
static uint8_t saved[STATE_BYTES];

static void connect_to(const char *socket)
{
	ck_assert_int_eq(fe_connect(&fe, socket), 0);
	ck_assert_int_eq(fe_negotiate(&fe, UINT64_MAX, UINT64_MAX), 0);
	ck_assert(fe_has(&fe, VU_PF_DEVICE_STATE));
}

static void set_writeback(uint8_t on)
{
	ck_assert_int_eq(fe_set_config(&fe, WCE_AT, 1, 0, &on), 0);
}

static uint8_t writeback(void)
{
	uint8_t on;

	ck_assert_int_eq(fe_get_config(&fe, WCE_AT, 1, &on), 0);
	return on;
}

static void save(void)
{
	ck_assert_int_eq(fe_save_state(&fe, saved, sizeof(saved)), STATE_BYTES);
}

static void small_and_large(void)
{
	signal(SIGPIPE, SIG_IGN);
	make_image("small.img", 1 << 20);
	make_image("large.img", 2 << 20);
	blkd_start("--disk=socket=small,file=small.img --disk=socket=large,file=large.img "
		   "--disk=socket=through,file=null:1M,cache=writethrough");
}

static void stop(void)
{
	fe_close(&fe);
	blkd_stop();
}

START_TEST(a_reset_brings_the_cache_mode_back)
{
	connect_to("small");
	ck_assert_uint_eq(writeback(), 1);
	set_writeback(0);
	ck_assert_uint_eq(writeback(), 0);
	ck_assert_int_eq(fe_reset_device(&fe), 0);
	ck_assert_uint_eq(writeback(), 1);
	fe_close(&fe);
	connect_to("through");
	set_writeback(1);
	ck_assert_int_eq(fe_reset_device(&fe), 0);
	ck_assert_uint_eq(writeback(), 0);
}
END_TEST

START_TEST(a_disk_works_after_a_reset)
{
	static struct disk disk;

	disk_open(&disk, "small", 0);
	disk_fill(&disk, 1, 4096);
	ck_assert_uint_eq(disk_write(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(fe_set_protocol_features(&disk.fe,
						  disk.fe.protocol | VU_BIT(VU_PF_RESET_DEVICE)),
			 0);
	ck_assert_int_eq(fe_reset_device(&disk.fe), 0);
	fe_ring_reset(&disk.ring);
	ck_assert_int_eq(fe_ring_start(&disk.fe, 0, &disk.ring), 0);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 1, 4096));
	disk_close(&disk);
}
END_TEST

START_TEST(the_cache_mode_is_carried_over)
{
	for (uint8_t on = 0; on < 2; on++) {
		connect_to("small");
		set_writeback(on);
		save();
		fe_close(&fe);
		connect_to("large"); /* a disk may have grown */
		set_writeback(!on);
		ck_assert_int_eq(fe_load_state(&fe, saved, sizeof(saved)), 0);
		ck_assert_uint_eq(writeback(), on);
		fe_close(&fe);
	}
}
END_TEST

START_TEST(not_to_a_smaller_disk)
{
	connect_to("large");
	set_writeback(0);
	save();
	fe_close(&fe);
	connect_to("small");
	ck_assert_int_eq(fe_load_state(&fe, saved, sizeof(saved)), -EREMOTEIO);
	ck_assert_uint_eq(writeback(), 1);
}
END_TEST

/* Hostile input 22. The two fields that may differ: a smaller capacity, the other cache mode. */
START_TEST(nothing_else_is_taken)
{
	uint8_t bad[STATE_BYTES + 1];

	connect_to("small");
	save();
	set_writeback(0);
	for (unsigned bit = 0; bit < STATE_BYTES * 8; bit++) {
		memcpy(bad, saved, STATE_BYTES);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bit == 28 * 8 || bit == 16 * 8 + 11) /* cache mode; 2048 sectors, of 2048 */
			continue;
		ck_assert_int_eq(fe_load_state(&fe, bad, STATE_BYTES), -EREMOTEIO);
		ck_assert_uint_eq(writeback(), 0);
	}
	memcpy(bad, saved, STATE_BYTES);
	bad[STATE_BYTES] = 0;
	ck_assert_int_eq(fe_load_state(&fe, bad, STATE_BYTES + 1), -EREMOTEIO);
	for (unsigned bytes = 0; bytes < STATE_BYTES; bytes++)
		ck_assert_int_eq(fe_load_state(&fe, bad, bytes), -EREMOTEIO);
	ck_assert_uint_eq(writeback(), 0);
	ck_assert_int_eq(fe_load_state(&fe, saved, STATE_BYTES), 0);
	ck_assert_uint_eq(writeback(), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_state");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, small_and_large, stop);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_reset_brings_the_cache_mode_back);
	tcase_add_test(tc, a_disk_works_after_a_reset);
	tcase_add_test(tc, the_cache_mode_is_carried_over);
	tcase_add_test(tc, not_to_a_smaller_disk);
	tcase_add_test(tc, nothing_else_is_taken);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
