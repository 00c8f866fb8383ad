/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_lifecycle.c - guests and daemons that come and go, with requests in flight: hanging up,
 * SIGTERM, SIGKILL, queues that stop as soon as they started, and doing nothing at all.
 * The front-end against the real daemon.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (64u << 20)
#define PIECE       (384u << 10)
#define RINGS       8

static struct disk disk;

static const char *const images[] = {
	"--blk-file=" IMAGE,
	"--blk-file=" IMAGE " --direct=off",
	"--blk-file=ram:64M --threads=2",
	"--blk-file=" IMAGE " --busy-poll",
	"--blk-file=" IMAGE " --poll-us=0 --cache=writethrough",
};

static void start(const char *options)
{
	make_image(IMAGE, IMAGE_BYTES);
	blkd_start(options);
}

/* fill_ring - requests in every slot, half of them unaligned, reads and writes. */
static void fill_ring(void)
{
	unsigned i;

	for (i = 0; i < DISK_SLOTS; i++) {
		struct fe_buf buf = disk_buf(&disk, i * (512 << 10) + (i & 1), PIECE);
		uint32_t type = i & 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

		disk_submit(&disk, i, type, i * (PIECE / SECTOR), &buf, 1, !(i & 2));
	}
}

START_TEST(hangs_up_with_requests_in_flight)
{
	unsigned round;

	start(images[_i]);
	for (round = 0; round < 20; round++) {
		disk_open(&disk, BLKD_SOCKET, 0);
		fill_ring();
		disk_drop(&disk);
	}
	disk_open(&disk, BLKD_SOCKET, 0);
	disk_fill(&disk, 6, 65536);
	ck_assert_uint_eq(disk_write(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_read(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 6, 65536));
	disk_close(&disk);
	blkd_stop();
}
END_TEST

/* A stopped ring has finished what it took; what it left is done after the next start. */
START_TEST(stops_with_requests_in_flight)
{
	unsigned round, i;

	start(images[_i]);
	disk_open(&disk, BLKD_SOCKET, 0);
	for (round = 0; round < 20; round++) {
		fill_ring();
		ck_assert_int_eq(fe_ring_stop(&disk.fe, 0, &disk.ring), 0);
		ck_assert_int_eq(fe_ring_start(&disk.fe, 0, &disk.ring), 0);
		for (i = 0; i < DISK_SLOTS; i++)
			ck_assert_uint_eq(disk_wait(&disk, i), VIRTIO_BLK_S_OK);
	}
	disk_close(&disk);
	blkd_stop();
}
END_TEST

/* Rings that stop before the I/O threads have seen them start. */
START_TEST(starts_and_stops_at_once)
{
	struct fe_ring_options options = {.size = 64};
	struct fe_ring rings[RINGS];
	unsigned round, i;

	start(images[_i]);
	disk_open(&disk, BLKD_SOCKET, 0);
	for (i = 1; i < RINGS; i++)
		ck_assert_int_eq(fe_ring_init(&rings[i], &disk.mem, &options), 0);
	for (round = 0; round < 50; round++) {
		for (i = 1; i < RINGS; i++)
			ck_assert_int_eq(fe_ring_start(&disk.fe, i, &rings[i]), 0);
		for (i = 1; i < RINGS; i++)
			ck_assert_int_eq(fe_ring_stop(&disk.fe, i, &rings[i]), 0);
	}
	for (i = 1; i < RINGS; i++)
		ck_assert_int_eq(fe_ring_start(&disk.fe, i, &rings[i]), 0);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	for (i = 1; i < RINGS; i++) {
		ck_assert_int_eq(fe_ring_stop(&disk.fe, i, &rings[i]), 0);
		fe_ring_free(&rings[i]);
	}
	disk_close(&disk);
	blkd_stop();
}
END_TEST

START_TEST(a_second_guest_waits_for_the_first_to_leave)
{
	struct disk second = {0};

	start(images[0]);
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_int_eq(fe_connect(&second.fe, BLKD_SOCKET), 0);
	second.fe.timeout_ms = 300;
	ck_assert_int_eq(fe_sync(&second.fe), -ETIMEDOUT);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	fe_close(&second.fe);
	ck_assert_int_eq(fe_connect(&second.fe, BLKD_SOCKET), 0);
	disk_close(&disk);
	ck_assert_int_eq(fe_sync(&second.fe), 0);
	fe_close(&second.fe);
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	disk_close(&disk);
	blkd_stop();
}
END_TEST

/* --- the daemon ends --- */

START_TEST(sigterm_finishes_what_is_in_flight)
{
	unsigned i, written = 0;
	uint8_t *got = malloc(PIECE), *expected = malloc(PIECE);

	start(images[_i]);
	disk_open(&disk, BLKD_SOCKET, 0);
	pattern(disk.data, 8, DISK_DATA_BYTES);
	fill_ring();
	ck_assert_uint_eq(disk_wait(&disk, 2), VIRTIO_BLK_S_OK); /* so that one at least was */
	blkd_signal(_i & 1 ? SIGINT : SIGTERM);
	ck_assert_int_eq(blkd_exit_status(), 0);
	ck_assert_int_ne(access(BLKD_SOCKET, F_OK), 0);
	/* What was used by then was carried out. */
	for (i = 2; i < DISK_SLOTS; i += (i & 1) ? 3 : 1) {
		if (disk.slot[i].status != VIRTIO_BLK_S_OK || !strcmp(images[_i], images[2]))
			continue;
		pattern(disk.data, 8, DISK_DATA_BYTES);
		memcpy(expected, disk.data + i * (512 << 10) + (i & 1), PIECE);
		image_read(IMAGE, i * PIECE, got, PIECE);
		ck_assert_mem_eq(got, expected, PIECE);
		written++;
	}
	ck_assert(written || !strcmp(images[_i], images[2]));
	free(got);
	free(expected);
	disk_drop(&disk);
}
END_TEST

START_TEST(sigkill_loses_nothing_acknowledged)
{
	uint8_t got[65536], expected[65536];
	unsigned i, round;

	start(images[_i]);
	for (round = 0; round < 3; round++) {
		disk_open(&disk, BLKD_SOCKET, 0);
		for (i = 0; i < 8; i++) {
			disk_fill(&disk, round * 8 + i, sizeof(expected));
			ck_assert_uint_eq(disk_write(&disk, i * 256, sizeof(expected)),
					  VIRTIO_BLK_S_OK);
		}
		blkd_kill();
		for (i = 0; i < 8; i++) {
			pattern(expected, round * 8 + i, sizeof(expected));
			image_read(IMAGE, i * 256 * SECTOR, got, sizeof(got));
			ck_assert_mem_eq(got, expected, sizeof(got));
		}
		ck_assert_int_eq(fe_await_close(&disk.fe, 5000), 0);
		disk_drop(&disk);
		/* Its socket file goes a moment later, and it comes back, image lock and all,
		 * whether before or after that. */
		while (round == 0 && access(BLKD_SOCKET, F_OK) == 0)
			usleep(1000); /* or time out */
		blkd_start(images[_i]);
	}
	disk_open(&disk, BLKD_SOCKET, 0);
	ck_assert_uint_eq(disk_read(&disk, 7 * 256, sizeof(got)), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(disk.data, expected, sizeof(got));
	disk_close(&disk);
	blkd_stop();
}
END_TEST

/* --- a guest that does nothing --- */

#define IDLE_S      2
#define IDLE_CPU_NS 5000000

START_TEST(an_idle_guest_costs_nothing)
{
	uint64_t before, spent;

	start(images[_i]);
	disk_open(&disk, BLKD_SOCKET, 0);
	fill_ring();
	disk_wait(&disk, DISK_SLOTS - 1);
	disk_read(&disk, 0, 4096);
	usleep(200000); /* polling is over */
	before = blkd_cpu_ns();
	sleep(IDLE_S);
	spent = blkd_cpu_ns() - before;
	ck_assert_msg(spent < IDLE_CPU_NS, "%llu us of CPU in %d s",
		      (unsigned long long)spent / 1000, IDLE_S);
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	disk_close(&disk);
	blkd_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_lifecycle");
	TCase *guests = tcase_create("guests"), *daemons = tcase_create("daemons");

	tcase_set_timeout(guests, 30);
	tcase_add_loop_test(guests, hangs_up_with_requests_in_flight, 0, 5);
	tcase_add_loop_test(guests, stops_with_requests_in_flight, 0, 5);
	tcase_add_loop_test(guests, starts_and_stops_at_once, 0, 5);
	tcase_add_test(guests, a_second_guest_waits_for_the_first_to_leave);
	tcase_add_loop_test(guests, an_idle_guest_costs_nothing, 0, 3);
	suite_add_tcase(suite, guests);
	tcase_set_timeout(daemons, 30);
	tcase_add_loop_test(daemons, sigterm_finishes_what_is_in_flight, 0, 5);
	tcase_add_loop_test(daemons, sigkill_loses_nothing_acknowledged, 0, 2);
	suite_add_tcase(suite, daemons);
	return run_in_scratch(suite);
}
